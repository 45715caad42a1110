"""What people type is screened: kinds are told, and exports are masked."""

from __future__ import annotations

from html import unescape

from medqlora.services.screening import ScreeningService
from ui.shared import phi_warning

TYPED = "My patient John Smith, MRN 4839201, was seen on 03/14/2023. What next?"
CLEAN = "Which antibiotic suits an uncomplicated urinary infection?"


def test_a_prompt_with_a_patient_in_it_is_told_once() -> None:
    screening = ScreeningService()
    assert {"name", "date", "mrn"} <= set(screening.kinds(TYPED))
    warning = unescape(phi_warning(screening, TYPED, told=""))
    assert "names (1)" in warning
    assert "John" not in warning
    assert phi_warning(screening, TYPED, told=TYPED) == ""


def test_a_medical_question_goes_through() -> None:
    assert phi_warning(ScreeningService(), CLEAN, told="") == ""


def test_a_masked_text_holds_none_of_it() -> None:
    masked = ScreeningService().masked(TYPED)
    for part in ("John", "Smith", "4839201", "03/14/2023"):
        assert part not in masked
    assert masked.startswith("My patient [NAME]")
