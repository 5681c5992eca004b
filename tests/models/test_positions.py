"""The most tokens of a text are what the network's table of positions holds, and never more than its tokenizer says."""

from __future__ import annotations

import json

import pytest
import torch
import transformers

from anchorlab.models.positions import token_limit
from anchorlab.models.pretrained import open_pretrained
from anchorlab.seeding import seeded_globally
from tests.zoo import save_text

#: 10^30 is what tokenizers say that know no limit.
NO_LIMIT = int(1e30)

_BERT = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
_BART = {
    **{"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32},
    **{"encoder_attention_heads": 2, "decoder_attention_heads": 2, "eos_token_id": 2, "decoder_start_token_id": 2},
}
_T5 = {
    **{"d_model": 16, "num_layers": 1, "num_heads": 2, "d_ff": 32, "d_kv": 8, "decoder_start_token_id": 2},
    "eos_token_id": 2,
}
_GPT = {"n_embd": 16, "n_layer": 1, "n_head": 2, "bos_token_id": 0, "eos_token_id": 2}

#: Family to settings beside 80 positions, and the limit: BERT counts from the first row, RoBERTa from the third.
TABLES = {
    "Bert": (_BERT, 80),
    "Electra": (_BERT | {"embedding_size": 16}, 80),
    "Albert": (_BERT | {"embedding_size": 16}, 80),
    "DistilBert": ({"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 32}, 80),
    "MobileBert": (_BERT | {"embedding_size": 16, "true_hidden_size": 16, "intra_bottleneck_size": 16}, 80),
    "Roberta": (_BERT, 78),
    "XLMRoberta": (_BERT, 78),
    "Camembert": (_BERT, 78),
    "Longformer": (_BERT | {"attention_window": 4}, 78),
    "MPNet": (_BERT, 78),
    "Esm": (_BERT | {"position_embedding_type": "absolute"}, 78),
    "DebertaV2": (_BERT, 80),
    "Nystromformer": (_BERT | {"segment_means_seq_len": 80, "num_landmarks": 4}, 80),
    "RoFormer": (_BERT | {"embedding_size": 16}, 80),
    "XLM": ({"emb_dim": 16, "n_layers": 1, "n_heads": 2}, 80),
    "GPT2": (_GPT, 80),
    "OpenAIGPT": (_GPT, 80),
    "Bart": (_BART, 80),
    "OPT": ({"hidden_size": 16, "num_hidden_layers": 1, "ffn_dim": 32, "num_attention_heads": 2}, 80),
}

#: Families whose positions are rotary or relative: the limit is what their configuration or tokenizer says.
NO_TABLES = {
    "ModernBert": (_BERT, 80),
    "Llama": (_BERT, 80),
    "DebertaV2": (_BERT | {"position_biased_input": False, "relative_attention": True, "pos_att_type": "c2p"}, 80),
    "T5": (_T5, 512),
}


def network(family: str, settings: dict):
    config_class = getattr(transformers, f"{family}Config")
    positions = {"max_position_embeddings": 80, "n_positions": 80}
    known = {name: value for name, value in positions.items() if hasattr(config_class(), name) and family != "T5"}
    config = config_class(vocab_size=40, pad_token_id=1, num_labels=2, **known, **settings)
    with seeded_globally(0, family):
        return getattr(transformers, f"{family}ForSequenceClassification")(config).eval()


def answers(net, tokens: int) -> torch.Tensor:
    ids = torch.full((1, tokens), 7)
    ids[0, -1] = 2
    with torch.inference_mode():
        return net(input_ids=ids, attention_mask=torch.ones_like(ids)).logits


@pytest.mark.parametrize("family", TABLES)
def test_a_text_of_the_limit_is_read_and_one_token_more_is_not(family):
    settings, limit = TABLES[family]
    net = network(family, settings)
    assert token_limit(net, net.config, NO_LIMIT) == limit
    assert answers(net, limit).isfinite().all()
    with pytest.raises((IndexError, RuntimeError)):
        answers(net, limit + 1)


@pytest.mark.parametrize("family", NO_TABLES)
def test_without_a_table_the_configuration_says_the_limit(family):
    settings, limit = NO_TABLES[family]
    net = network(family, settings)
    assert token_limit(net, net.config, NO_LIMIT) == limit
    assert answers(net, limit).isfinite().all()


@pytest.mark.parametrize(
    ("said", "limit"), [(NO_LIMIT, 78), (1e30, 78), (1024, 78), (50, 50), (0, 78), ("60", 78), (None, 78)]
)
def test_the_tokenizer_may_say_less_but_not_more(said, limit):
    net = network("Roberta", _BERT)
    assert token_limit(net, net.config, said) == limit


@pytest.mark.parametrize("said", [None, 1024, 20])
def test_a_longer_text_is_cut_where_the_table_ends(tmp_path, said):
    folder = save_text("roberta", tmp_path / "model", ["neg", "pos"])
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text())
    settings.pop("model_max_length", None)
    path.write_text(json.dumps(settings if said is None else settings | {"model_max_length": said}))
    model = open_pretrained(str(folder))
    offset = model.net.config.pad_token_id + 1
    limit = min(80 - offset, said or 80)
    inputs = model.encoding.encode(["film " * 600])
    assert model.encoding.max_length == inputs["input_ids"].shape[1] == limit
    assert model(**{name: inputs[name] for name in ("input_ids", "attention_mask")}).isfinite().all()
