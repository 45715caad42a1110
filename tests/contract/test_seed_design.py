"""Everything that the user's design names is in the product, under that name and in that order."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import os
import re
from pathlib import Path

import pytest

import medqlora
from medqlora.errors import ERRORS_BY_CODE
from medqlora.recovery import ErrorRecoveryManager

# Class, method and its parameters after self, as the design writes them.
METHODS: dict[str, dict[str, tuple[str, ...]]] = {
    "MedicalDatasetLoader": {
        "load_dataset": ("dataset_path",),
        "validate_format": ("dataset",),
        "preprocess_medical_text": ("dataset",),
        "filter_invalid_entries": ("dataset",),
    },
    "QLoRAConfig": {
        "__init__": ("model_name", "rank", "alpha"),
        "configure_quantization": (),
        "configure_lora_params": (),
        "optimize_for_colab": (),
    },
    "QuantizedModelLoader": {
        "load_base_model": ("model_name", "config"),
        "apply_lora_adapters": ("model",),
        "verify_memory_usage": (),
    },
    "QLoRATrainer": {
        "__init__": ("model", "tokenizer", "config"),
        "train": ("dataset",),
        "monitor_resources": (),
        "handle_training_errors": ("error",),
    },
    "ColabResourceDetector": {
        "detect_gpu": (),
        "estimate_memory_capacity": (),
        "configure_environment": (),
    },
    "AdapterSaver": {
        "save_adapter": ("model", "metadata"),
        "load_adapter": ("adapter_path",),
        "verify_compatibility": ("adapter_path", "base_model"),
    },
    "MedicalQueryEvaluator": {
        "evaluate_query": ("query", "model"),
        "compare_responses": ("query", "base_response", "finetuned_response"),
        "filter_unsafe_content": ("response",),
    },
    "ErrorRecoveryManager": {
        "handle_memory_error": ("error",),
        "handle_session_disconnect": (),
        "suggest_parameter_adjustments": ("error",),
    },
}
FIELDS: dict[str, tuple[str, ...]] = {
    "MedicalDataEntry": ("question", "answer", "context", "metadata"),
    "TrainingMetadata": (
        "model_name",
        "dataset_info",
        "training_config",
        "training_metrics",
        "timestamp",
    ),
    "ResourceStats": (
        "gpu_memory_used",
        "gpu_memory_total",
        "cpu_memory_used",
        "training_time_elapsed",
        "estimated_time_remaining",
    ),
}
CLASSES = [
    "MedicalDatasetLoader",
    "DataValidator",
    "MedicalTokenizer",
    "QLoRAConfig",
    "QuantizationManager",
    "LoRAParameterOptimizer",
    "QuantizedModelLoader",
    "AdapterManager",
    "ModelCompatibilityChecker",
    "QLoRATrainer",
    "MemoryMonitor",
    "TrainingMetricsLogger",
    "ColabResourceDetector",
    "SessionManager",
    "DependencyInstaller",
    "AdapterSaver",
    "CheckpointManager",
    "CloudStorageInterface",
    "MedicalQueryEvaluator",
    "ResponseComparator",
    "SafetyFilter",
    "ErrorRecoveryManager",
]
RESULTS = [
    "ValidationResult",
    "MemoryStats",
    "TrainingResult",
    "RecoveryAction",
    "GPUInfo",
    "EnvironmentConfig",
    "SaveResult",
    "EvaluationResult",
    "ComparisonResult",
    "FilterResult",
    "ReconnectionGuide",
    "ParameterAdjustment",
    "OutOfMemoryError",
    "TrainingError",
]
CATEGORIES = {
    "Memory Errors": "out_of_memory",
    "Data Errors": "data_error",
    "Model Loading Errors": "model_error",
    "Colab Session Errors": "session_error",
}
FOREIGN = {"Dataset", "BitsAndBytesConfig", "LoraConfig", "PeftModel", "AutoModelForCausalLM"}


def design_file() -> Path:
    beside = Path(__file__).parents[2].parent / "shared"
    return Path(os.environ.get("MEDQLORA_SHARED", beside)) / "seed_design.md"


def design() -> str:
    if not design_file().is_file():
        pytest.skip(f"{design_file()} is not here; the copy in this file is checked")
    return design_file().read_text(encoding="utf-8")


def design_classes() -> list[ast.ClassDef]:
    """The classes of the design's code blocks; its methods have no bodies, so they get one."""
    blocks = re.findall(r"```python\n(.*?)```", design(), flags=re.DOTALL)
    source = re.sub(r"^(    def .*)$", r"\1: ...", "\n".join(blocks), flags=re.MULTILINE)
    return [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]


def parameters_of(class_name: str, method: str) -> tuple[str, ...]:
    """What can be given by position, after self."""
    function = inspect.signature(getattr(getattr(medqlora, class_name), method))
    positional = inspect.Parameter.POSITIONAL_OR_KEYWORD
    names = [name for name, one in function.parameters.items() if one.kind is positional]
    return tuple(name for name in names if name != "self")


@pytest.mark.parametrize("name", [*CLASSES, *RESULTS])
def test_every_class_of_the_design_can_be_imported(name: str) -> None:
    assert inspect.isclass(getattr(medqlora, name))
    assert name in dir(medqlora)


@pytest.mark.parametrize(
    ("class_name", "method"), [(name, one) for name, all_ in METHODS.items() for one in all_]
)
def test_every_method_takes_what_the_design_says(class_name: str, method: str) -> None:
    assert parameters_of(class_name, method) == METHODS[class_name][method]


@pytest.mark.parametrize("method", ["__init__", "train", "handle_training_errors"])
def test_everything_beyond_the_design_is_optional(method: str) -> None:
    function = inspect.signature(getattr(medqlora.QLoRATrainer, method))
    extra = [one for one in function.parameters.values() if one.kind is one.KEYWORD_ONLY]
    assert all(one.default is not one.empty for one in extra)


def test_rank_and_alpha_have_the_designs_defaults() -> None:
    config = medqlora.QLoRAConfig("SmolLM2-135M-Instruct")
    assert (config.rank, config.alpha) == (16, 32)


@pytest.mark.parametrize("name", FIELDS)
def test_every_data_model_has_the_designs_fields_first_and_in_order(name: str) -> None:
    names = tuple(one.name for one in dataclasses.fields(getattr(medqlora, name)))
    assert names[: len(FIELDS[name])] == FIELDS[name]


@pytest.mark.parametrize(("category", "code"), CATEGORIES.items())
def test_every_error_category_of_the_design_has_an_answer(category: str, code: str) -> None:
    action = ErrorRecoveryManager().handle_error(ERRORS_BY_CODE[code]("It broke.", hint="Mend it."))
    assert action.message, category
    assert len(action.steps) >= 2, category


def test_the_copy_in_this_file_is_the_design() -> None:
    methods: dict[str, dict[str, tuple[str, ...]]] = {}
    fields: dict[str, tuple[str, ...]] = {}
    for node in design_classes():
        functions = [one for one in node.body if isinstance(one, ast.FunctionDef)]
        if functions:
            methods[node.name] = {
                one.name: tuple(arg.arg for arg in one.args.args[1:]) for one in functions
            }
        else:
            fields[node.name] = tuple(
                one.target.id
                for one in node.body
                if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)
            )
    assert methods == METHODS
    assert fields == FIELDS


def test_every_name_in_the_design_is_on_a_list_here() -> None:
    listed = set(re.findall(r"^- `(\w+)`", design(), flags=re.MULTILINE))
    assert listed == set(CLASSES) - {"ErrorRecoveryManager"}
    returned = {
        name
        for node in design_classes()
        for one in node.body
        if isinstance(one, ast.FunctionDef) and one.returns
        for name in re.findall(r"[A-Z]\w+", ast.unparse(one.returns))
    }
    assert returned - FOREIGN - {"Tuple", "List", "None"} <= set(RESULTS) | set(FIELDS)


def test_every_error_category_in_the_design_is_on_the_list_here() -> None:
    section = design().split("### Error Categories and Strategies")[1].split("###")[0]
    assert re.findall(r"^\d\. \*\*(.+?)\*\*", section, flags=re.MULTILINE) == list(CATEGORIES)
