"""Archives to run whole journeys on: the embedded default, and real servers."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from archive.answers import dossier_answer
from lastgate.settings import IndexSettings, NodeSettings, Settings, StoreSettings
from lastgate.wiring import House, open_house
from search.kinds import Kind
from search.query import Query
from tests.servers.seaweedfs import Seaweed


@contextmanager
def local(home: Path) -> Iterator[House]:
    """Open an archive on the local filesystem with SQLite."""
    with open_house(Settings(home=home, node=NodeSettings(port=0))) as house:
        yield house


@contextmanager
def on_servers(home: Path, seaweedfs: Seaweed, elasticsearch_url: str) -> Iterator[House]:
    """Open an archive on SeaweedFS and Elasticsearch, in buckets and an index of its own."""
    home.mkdir(parents=True)
    access, secret = home / "access", home / "secret"
    for path, credential in ((access, seaweedfs.access_key), (secret, seaweedfs.secret_key)):
        path.touch(mode=0o600)
        path.write_text(credential, "utf-8")
    name = f"lg-{uuid4().hex[:8]}"
    settings = Settings(
        home=home,
        node=NodeSettings(port=0),
        store=StoreSettings(
            kind="s3",
            endpoint_url=seaweedfs.endpoint_url,
            bucket=seaweedfs.fresh_bucket(),
            vault_bucket=seaweedfs.fresh_bucket(lock=True),
            access_key_file=access,
            secret_key_file=secret,
        ),
        index=IndexSettings(kind="elasticsearch", url=elasticsearch_url, name=name),
    )
    with open_house(settings) as house:
        yield house


def found(house: House) -> list[dict[str, Any]]:
    """Return what `find --json` answers, as it would be printed."""
    answers = [hit.body for hit in house.hits(Query(kind=Kind.DOSSIER, limit=500))]
    return list(json.loads(json.dumps(answers)))


def folded(house: House) -> list[dict[str, Any]]:
    """Return all dossiers folded anew from the facts, past every index, in the order of `in_order`."""
    records = (house.desk.record(key) for key in house.facts.patients())
    return in_order(dossier_answer(dossier) for record in records for dossier in record.dossiers)


def in_order(answers: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sort answers by all they say: a plan that came under two patients gives two dossiers of one id."""
    return sorted(json.loads(json.dumps(list(answers))), key=json.dumps)
