"""The indexes behind one name on Elasticsearch: which answers, which are written, how one takes the other's place.

Each generation is an index ``NAME-FORMAT-NUMBER``. The alias ``NAME`` stands
on the one that answers. Each has an alias of its own, ``NAME-w-FORMAT-NUMBER``,
that writes go through: a write to an alias fails when its index is gone,
where a write to an index would quietly make a new one.
"""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from search.base import INDEX_FORMAT
from search.elastic_requests import MAPPING
from search.errors import IndexDamaged, IndexOutdated, IndexTooNew, RebuildSuperseded

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

_SETTINGS: Final = {"auto_expand_replicas": "0-1", "codec": "best_compression"}
_NOT_FOUND: Final = 404
_BAD_REQUEST: Final = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """One index: the format it is written in, its number, and whether it answers."""

    name: str
    format: int
    number: int
    is_live: bool

    @property
    def index(self) -> str:
        """Name of the index."""
        return f"{self.name}-{self.format}-{self.number:06d}"

    @property
    def write_alias(self) -> str:
        """Alias that writes go through."""
        return f"{self.name}-w-{self.format}-{self.number:06d}"


class Generations:
    """The generations of one name. Asked anew for each call: other nodes may have changed them.

    Parameters
    ----------
    name
        The alias that stands on the index that answers.
    shards
        Primary shards of a new index.
    """

    def __init__(self, client: "Elasticsearch", name: str, *, shards: int) -> None:
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,99}", name) or name.endswith("-w"):  # NAME-w is ours for aliases
            raise ValueError(
                f"No name for an index: {name!r}. Use lower case letters, digits and hyphens, no -w at the end."
            )
        self._client = client
        self._name = name
        self._shards = shards
        self._shape = re.compile(rf"{re.escape(name)}-(\d{{1,6}})-(\d{{6,}})")

    def all(self) -> tuple[Generation, ...]:
        """Return all generations, made the first if there is none.

        Raises
        ------
        IndexTooNew
            If one is of a newer format.
        IndexDamaged
            If none answers.
        """
        found = self._listed() or self._made_first()
        newest = max(generation.format for generation in found)
        if newest > INDEX_FORMAT:
            raise IndexTooNew(f"The index {self._name!r} has format {newest}; this program knows {INDEX_FORMAT}.")
        if not any(generation.is_live for generation in found):
            raise IndexDamaged(f"The alias {self._name!r} is missing: none of its indexes answers.")
        return found

    def _listed(self) -> tuple[Generation, ...]:
        answer = self._client.indices.get(index=f"{self._name}-*", features="aliases").body
        shaped = ((self._shape.fullmatch(index), content["aliases"]) for index, content in answer.items())
        return tuple(
            Generation(name=self._name, format=int(shape[1]), number=int(shape[2]), is_live=self._name in aliases)
            for shape, aliases in shaped
            if shape
        )

    def _made_first(self) -> tuple[Generation, ...]:
        from elasticsearch import BadRequestError

        try:
            self.create(Generation(name=self._name, format=INDEX_FORMAT, number=1, is_live=True))
        except BadRequestError as error:
            if error.error != "resource_already_exists_exception":  # another node may have been quicker
                raise
        return self._listed()

    def live(self) -> Generation:
        """Return the generation that answers.

        Raises
        ------
        IndexOutdated
            If it was written in an older format.
        """
        found = next(generation for generation in self.all() if generation.is_live)
        if found.format < INDEX_FORMAT:
            raise self._outdated(found.format)
        return found

    def written(self) -> tuple[Generation, ...]:
        """Return the generations every put goes to: those of this program's format.

        Raises
        ------
        IndexOutdated
            If there is none.
        """
        found = self.all()
        ours = tuple(generation for generation in found if generation.format == INDEX_FORMAT)
        if not ours:
            raise self._outdated(max(generation.format for generation in found))
        return ours

    def _outdated(self, found: int) -> IndexOutdated:
        return IndexOutdated(
            f"The index {self._name!r} has format {found}; this program reads and writes {INDEX_FORMAT}."
        )

    def begin(self) -> Generation:
        """Make the next generation beside the one that answers; drop those left behind unfinished."""
        found = self.all()
        for generation in found:
            if not generation.is_live:
                self.drop(generation)
        number = max(generation.number for generation in found) + 1
        following = Generation(name=self._name, format=INDEX_FORMAT, number=number, is_live=False)
        self.create(following)
        return following

    def create(self, generation: Generation) -> None:
        """Make an index with its aliases in one step."""
        aliases: dict[str, dict[str, Any]] = {generation.write_alias: {}}
        if generation.is_live:
            aliases[self._name] = {}
        self._client.indices.create(
            index=generation.index,
            mappings=MAPPING,
            settings={"number_of_shards": self._shards, **_SETTINGS},
            aliases=aliases,
        )

    def drop(self, generation: Generation) -> None:
        """Drop an index that does not answer."""
        self._client.indices.delete(index=generation.index, ignore_unavailable=True)

    def switch_to(self, following: Generation) -> None:
        """Let `following` answer and drop what answered before, in one step.

        Raises
        ------
        RebuildSuperseded
            If `following` is gone.
        """
        from elasticsearch import NotFoundError

        actions: list[dict[str, Any]] = [{"add": {"index": following.index, "alias": self._name}}]
        actions += [{"remove_index": {"index": generation.index}} for generation in self.all() if generation.is_live]
        try:
            self._client.indices.update_aliases(actions=actions)
        except NotFoundError as error:
            raise RebuildSuperseded("Another rebuild began: the index of this one is gone.") from error
