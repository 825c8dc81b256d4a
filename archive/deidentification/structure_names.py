"""Which names of structures say nothing about a person: targets and organs as TG-263 writes them."""

import re
from typing import Final

_TARGET: Final = re.compile(
    r"I?[GCP]TV(p|n|m|sb|par|v|vas)?\d{0,2}(_(High|Mid\d{0,2}|Low|Boost|Eval|Opt|Prox|Dist|L|R|\d{2,5}(cGy)?))*", re.I
)
_ORGAN_WORDS: Final = """
    body external skin heart lung lungs liver kidney kidneys spleen stomach bowel bowel_small bowel_large duodenum
    colon colon_sigmoid rectum rectum_wall anal_canal anus bladder bladder_wall prostate seminalves sem_vesicle
    seminal_vesicles penis penilebulb urethra uterus cervix vagina ovary testis breast breasts femur femurs
    femur_head femur_heads femoral_head pelvis sacrum bone bones bonemarrow marrow spinalcord spinal_cord cord
    spinalcanal canal brain brainstem brain_stem cerebellum chiasm optic_chiasm opticchiasm optic_nerve opticnrv
    opticnerve eye eyes lens lenses retina lacrimal gland_lacrimal glnd_lacrimal cochlea inner_ear hippocampus
    hippocampi pituitary parotid parotids glnd_submand glnd_submands glnd_thyroid submandibular thyroid larynx
    glottis pharynx pharynxconst musc_constrict oral_cavity cavity_oral mandible bone_mandible lips tongue
    esophagus oesophagus trachea bronchus bronchi carina aorta a_aorta greatves great_vessels vena_cava v_venacava
    a_lad lad ribs rib sternum chestwall chest_wall diaphragm brachialplex brachial_plexus brachialplexs pancreas
    gallbladder bileduct_common ln lns ln_pelvics nodes vessels couch couchsurface couchinterior bolus marker
    markers ring hotspot air bones_pelvic cauda_equina caudaequina skull scalp
"""
_ORGANS: Final = frozenset(_ORGAN_WORDS.split())
_SIDE: Final = re.compile(r"[ _-](l|r|left|right|lt|rt|prv\d{0,2}|combined|both)$", re.I)


def is_telling_nothing(name: str) -> bool:
    """Return whether a structure's name is one of the common ones, and so may stay."""
    plain = name.strip()
    if _TARGET.fullmatch(plain):
        return True
    while (shorter := _SIDE.sub("", plain)) != plain:
        plain = shorter
    return plain.lower().replace(" ", "_") in _ORGANS
