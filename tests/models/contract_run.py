"""Puts one engine through the contract and prints what was found, as one line of JSON.

`python -m tests.models.contract_run ENGINE MODEL_DIR WORK_DIR` in a process of its own, because
Unsloth changes transformers, PEFT and TRL for the whole process. `test_engine_contract` judges.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.domain.events import EvalLogged, Event, StepLogged
from medqlora.domain.generation import GenerationSettings
from medqlora.domain.training import TrainingMetadata
from medqlora.errors import ModelError
from medqlora.models.engine import BASE_ADAPTER, TUNED_ADAPTER, ModelEngine
from medqlora.models.engine_choice import choose_engine
from medqlora.models.four_bit_copy import FourBitCopy
from medqlora.models.generation import generate
from medqlora.persistence.adapters import AdapterSaver
from medqlora.persistence.checkpoints import CheckpointManager
from medqlora.training.trainer import QLoRATrainer

CONFIG = QLoRAConfig(
    EMBEDDED_MODEL,
    rank=4,
    alpha=8,
    dropout=0.1,
    learning_rate=5e-3,
    per_device_train_batch_size=2,
    gradient_accumulation_steps=2,
    max_steps=6,
    save_steps=3,
    eval_steps=3,
    max_seq_length=128,
)
# What the adapter that is asked has learnt by heart; of three lengths, so that rows are padded.
LEARNT = {
    "What does lab value 3 mean?": "Value 3 is usual.",
    "What is fever?": "A raised temperature.",
    "Why is my heart rate 110 after climbing the stairs?": "Effort raises it.",
}


def main(engine_name: str, model_dir: Path, work_dir: Path) -> dict[str, Any]:
    """Everything the contract asks, in the order of a run."""
    config = CONFIG.changed(engine=engine_name)
    begun = time.monotonic()
    engine = choose_engine(config).engine
    facts: dict[str, Any] = {
        "engine": engine.name,
        "import_seconds": time.monotonic() - begun,
        "has_unsloth_changed_the_libraries": "unsloth" in sys.modules,
    }
    facts |= starting(engine, model_dir, config)
    facts |= ready_weights(engine, model_dir, work_dir, config.changed(compute_dtype="float32"))
    facts |= gradients_around_an_evaluation(engine, model_dir, config)
    facts |= training(engine, model_dir, work_dir, config)
    facts |= asking(engine, model_dir, work_dir / "learnt", config)
    return facts


def fresh(engine: ModelEngine, model_dir: Path, config: QLoRAConfig) -> tuple[Any, Any]:
    loaded = engine.load_base(str(model_dir), config)
    return engine.attach_adapter(loaded.model, config), loaded.tokenizer


def trained_weights(model: Any) -> dict[str, Any]:
    return {name: one for name, one in model.named_parameters() if one.requires_grad}


def digest(model: Any) -> str:
    found = hashlib.sha256()
    for name, weights in sorted(trained_weights(model).items()):
        found.update(name.encode() + weights.detach().cpu().numpy().tobytes())
    return found.hexdigest()


def starting(engine: ModelEngine, model_dir: Path, config: QLoRAConfig) -> dict[str, Any]:
    from bitsandbytes.nn import Linear4bit

    model, _ = fresh(engine, model_dir, config)
    return {
        "num_4bit_layers": sum(isinstance(one, Linear4bit) for one in model.modules()),
        "fresh_dtypes": sorted({str(one.dtype) for one in trained_weights(model).values()}),
        "trained_are_lora": all("lora_" in name for name in trained_weights(model)),
        "fresh": digest(model),
        "fresh_again": digest(fresh(engine, model_dir, config)[0]),
        "fresh_other_seed": digest(fresh(engine, model_dir, config.changed(seed=7))[0]),
    }


def ready_weights(
    engine: ModelEngine, model_dir: Path, work_dir: Path, config: QLoRAConfig
) -> dict[str, Any]:
    """Weights that were saved in 4 bits, in bfloat16 as their publishers do, against the own."""
    import torch

    maker = engine.load_base(str(model_dir), config.changed(compute_dtype="bfloat16")).model
    maker.save_pretrained(work_dir / "copy")
    copy = FourBitCopy(name="owner/copy", revision="0" * 40)
    joined = copy.joined(work_dir / "copy", own=model_dir, folder=work_dir / "copies")
    own, ready = (
        engine.load_base(str(folder), config).model.eval() for folder in (model_dir, joined)
    )
    ids = torch.arange(40, device=own.device).reshape(2, 20)
    with torch.no_grad():
        difference = own(input_ids=ids).logits - ready(input_ids=ids).logits
    return {"ready_differs_by": float(difference.abs().max())}


def gradients_around_an_evaluation(
    engine: ModelEngine, model_dir: Path, config: QLoRAConfig
) -> dict[str, Any]:
    import torch

    model, _ = fresh(engine, model_dir, config.changed(dropout=0.0))
    ids = torch.arange(40, device=model.device).reshape(2, 20)

    def gradients() -> dict[str, Any]:
        model.train()
        model.zero_grad()
        with torch.autocast(ids.device.type, dtype=torch.bfloat16):
            model(input_ids=ids, labels=ids).loss.backward()
        return {name: one.grad.clone() for name, one in trained_weights(model).items()}

    before = gradients()
    model.eval()
    with torch.no_grad(), torch.autocast(ids.device.type, dtype=torch.bfloat16):
        model(input_ids=ids)
    after = gradients()
    differences = [(before[name] - after[name]).abs().max().item() for name in before]
    return {
        "largest_gradient_difference": max(differences),
        "first_layer_gradients": [
            one.abs().sum().item() for name, one in after.items() if ".0." in name and "_B" in name
        ],
    }


def training(
    engine: ModelEngine, model_dir: Path, work_dir: Path, config: QLoRAConfig
) -> dict[str, Any]:
    whole = trained(engine, model_dir, work_dir / "whole", config)
    checkpoint = Path(CheckpointManager(work_dir / "whole" / "checkpoints").validate(3).path)
    resumed = trained(engine, model_dir, work_dir / "resumed", config, resume_from=checkpoint)
    return whole | {f"resumed_{name}": value for name, value in resumed.items()}


def trained(
    engine: ModelEngine,
    model_dir: Path,
    folder: Path,
    config: QLoRAConfig,
    resume_from: Path | None = None,
) -> dict[str, Any]:
    from datasets import Dataset

    events: list[Event] = []
    model, tokenizer = fresh(engine, model_dir, config)
    rows = [
        {"question": f"What does lab value {i} mean?", "answer": f"Value {i} is usual. " * (i % 4)}
        for i in range(1, 25)
        if i % 4
    ]
    checkpoints = CheckpointManager(folder / "checkpoints")
    QLoRATrainer(
        model,
        tokenizer,
        config.training_arguments(checkpoints.staging, num_entries=len(rows) - 4),
        engine=engine,
        eval_dataset=Dataset.from_list(rows[-4:]),
        max_seq_length=config.max_seq_length,
        checkpoints=checkpoints,
        resume_from=resume_from,
        sink=events.append,
    ).train(Dataset.from_list(rows[:-4]))
    return {
        "weights": digest(model),
        "dtypes": sorted({str(one.dtype) for one in trained_weights(model).values()}),
        "losses": [one.loss for one in events if isinstance(one, StepLogged)],
        "eval_losses": [one.eval_loss for one in events if isinstance(one, EvalLogged)],
    }


def asking(
    engine: ModelEngine, model_dir: Path, work_dir: Path, config: QLoRAConfig
) -> dict[str, Any]:
    """Answers of base and tuned, in one batch and apart.

    The texts of the base, whose weights were drawn and whose words hang by a thread, come from
    batches of one shape, so that the arithmetic is the same.
    """
    learn_by_heart(engine, model_dir, work_dir, config)
    loaded = engine.load_base(str(model_dir), config)
    twice = [question for question in LEARNT for _ in range(2)]

    def ask(model: Any, questions: list[str], adapters: list[str]) -> list[str]:
        answers = generate(
            model,
            loaded.tokenizer,
            [[{"role": "user", "content": question}] for question in questions],
            adapters=adapters,
            settings=GenerationSettings(max_new_tokens=12),
        )
        return [answer.text for answer in answers]

    untouched = next_token_logits(loaded.model, loaded.tokenizer, twice, adapters=None)
    try:
        model = engine.load_adapter(loaded.model, work_dir / "adapter")
    except ModelError as error:
        return {"refused_to_ask": error.message}
    alternating = [BASE_ADAPTER, TUNED_ADAPTER] * len(LEARNT)
    mixed = next_token_logits(model, loaded.tokenizer, twice, adapters=alternating)
    distances = (mixed - untouched).abs().amax(dim=-1).tolist()
    return {
        "distances_of_base": distances[::2],
        "distances_of_tuned": distances[1::2],
        "all_base": ask(model, twice, [BASE_ADAPTER] * len(twice)),
        "all_tuned": ask(model, twice, [TUNED_ADAPTER] * len(twice)),
        "mixed": ask(model, twice, alternating),
        "tuned_one_by_one": [ask(model, [one], [TUNED_ADAPTER])[0] for one in LEARNT],
    }


def next_token_logits(
    model: Any, tokenizer: Any, questions: list[str], *, adapters: list[str] | None
) -> Any:
    """What the model thinks of each token as the first of its answer, [questions, vocabulary]."""
    prompts = [
        tokenizer.apply_chat_template(
            [{"role": "user", "content": question}], tokenize=False, add_generation_prompt=True
        )
        for question in questions
    ]
    inputs = tokenizer(
        prompts, return_tensors="pt", padding=True, padding_side="left", add_special_tokens=False
    ).to(model.device)
    options = {} if adapters is None else {"adapter_names": adapters}
    model.eval()
    answered = model.generate(
        **inputs,
        **options,
        max_new_tokens=1,
        do_sample=False,
        pad_token_id=tokenizer.pad_token_id,
        output_logits=True,
        return_dict_in_generate=True,
    )
    return answered.logits[0].float()


def learn_by_heart(
    engine: ModelEngine, model_dir: Path, work_dir: Path, config: QLoRAConfig
) -> None:
    """Trains until the tuned model says what it was taught, and saves the adapter."""
    from datasets import Dataset

    config = config.changed(
        rank=8, alpha=16, dropout=0.0, learning_rate=1e-2, max_steps=100, save_steps=1000
    )
    model, tokenizer = fresh(engine, model_dir, config)
    QLoRATrainer(
        model,
        tokenizer,
        config.training_arguments(work_dir / "staging", num_entries=len(LEARNT)),
        engine=engine,
        max_seq_length=config.max_seq_length,
    ).train(Dataset.from_list([{"question": q, "answer": a} for q, a in LEARNT.items()]))
    AdapterSaver(work_dir / "adapter").save_adapter(
        model,
        TrainingMetadata(
            model_name=config.model_name,
            dataset_info={},
            training_config=config.to_dict(),
            training_metrics={},
            timestamp=datetime.now(UTC),
        ),
    )


if __name__ == "__main__":
    found = main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
    print("FACTS " + json.dumps(found))
