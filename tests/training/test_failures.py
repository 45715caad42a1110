"""Which errors of the libraries are called what."""

from __future__ import annotations

import pytest

from medqlora.training.failures import is_out_of_memory


@pytest.mark.parametrize(
    "text",
    [
        "CUDA out of memory. Tried to allocate 2.00 GiB",
        "[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory",
        "std::bad_alloc",
        "could not create a memory object",
        "could not create a primitive",
    ],
)
def test_memory_that_ran_out_is_known_by_the_words_of_each_library(text: str) -> None:
    assert is_out_of_memory(RuntimeError(text))


def test_another_error_is_none_of_memory() -> None:
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
