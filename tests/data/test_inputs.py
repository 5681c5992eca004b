"""Inputs of models: which kind they are, rows of them, two batches as one."""

from __future__ import annotations

import torch

from anchorlab.data.inputs import joined, kind_of, lengths, rows
from tests.tokenizers import TEXTS, encoding


def test_the_kind_of_inputs():
    assert kind_of({"pixel_values": torch.zeros(2, 1, 8, 8)}) == "image"
    assert kind_of(encoding("wordpiece").encode(TEXTS)) == "text"
    assert kind_of({"mask": torch.zeros(2)}) is None


def test_joined_pads_the_shorter_batch():
    made = encoding("wordpiece")
    first, second = made.encode(TEXTS[:2]), made.encode(TEXTS[2:3])
    both = joined(first, {name: second[name] for name in ("input_ids", "attention_mask")})
    assert both["attention_mask"].sum(1).tolist() == [*lengths(first).tolist(), *lengths(second).tolist()]
    width = second["input_ids"].shape[1]
    assert both["input_ids"][2, :width].tolist() == second["input_ids"][0].tolist()


def test_rows_cut_padding_and_images_have_no_length():
    made = encoding("wordpiece").encode(TEXTS)
    found = lengths(made)
    short = rows(made, torch.tensor([2]), int(found[2]))
    assert short["input_ids"].shape == (1, int(found[2]))
    assert lengths({"pixel_values": torch.zeros(2, 1, 8, 8)}) is None
