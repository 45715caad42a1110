"""medqlora: fine-tune a language model on your own medical questions, and see if it helped.

    domain       value types that everything shares
    config       settings of a run and what suits a model
    data         files become entries, entries become tokens
    models       base models, adapters, engines, generation
    training     the trainer and what it reports
    evaluation   scores, statistics, safety
    colab        the machine, its packages, the notebook session
    persistence  the workspace, checkpoints, adapters
    runs         jobs as processes
    services     what tabs, command line and notebooks call

Every class of the public interface can be imported from here; a module is loaded when one of its
names is first used.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

from medqlora.domain.version import VERSION

__version__ = VERSION

# Libraries read these when they are imported, and tell nobody of their use: the hub's client and
# TRL, Unsloth, which would fetch a page so that it is counted, and loggers that are not used here.
# Nor do they fetch compiled code by themselves.
os.environ.update(
    {
        "DO_NOT_TRACK": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "UNSLOTH_DISABLE_STATISTICS": "1",
        "USE_HUB_KERNELS": "NO",
        "WANDB_MODE": "disabled",
    }
)

_HOMES = {
    "AdapterManager": "models.adapters",
    "AdapterSaver": "persistence.adapters",
    "CheckpointInfo": "domain.artifacts",
    "CheckpointManager": "persistence.checkpoints",
    "CloudStorageInterface": "persistence.cloud",
    "ColabResourceDetector": "colab.resources",
    "ComparisonResult": "domain.evaluation",
    "CompatibilityReport": "models.compatibility",
    "ConfigError": "errors",
    "DataError": "errors",
    "DataValidator": "data.validator",
    "DependencyInstaller": "colab.dependencies",
    "EnvironmentConfig": "domain.resources",
    "ErrorRecoveryManager": "recovery",
    "EvaluationError": "errors",
    "EvaluationResult": "domain.evaluation",
    "FilterResult": "domain.evaluation",
    "GPUInfo": "domain.resources",
    "LoRAParameterOptimizer": "config.lora",
    "MedQLoRAError": "errors",
    "MedicalDataEntry": "domain.dataset",
    "MedicalDatasetLoader": "data.loader",
    "MedicalQueryEvaluator": "evaluation.evaluator",
    "MedicalTokenizer": "data.tokenizer",
    "MemoryMonitor": "training.memory",
    "MemoryStats": "domain.resources",
    "ModelCompatibilityChecker": "models.compatibility",
    "ModelError": "errors",
    "NonFiniteLossError": "errors",
    "OutOfMemoryError": "errors",
    "ParameterAdjustment": "domain.recovery",
    "PersistenceError": "errors",
    "PhiScreen": "data.phi.screen",
    "PhiSpan": "domain.phi",
    "QLoRAConfig": "config.qlora",
    "QLoRATrainer": "training.trainer",
    "QuantizationManager": "config.quantization",
    "QuantizedModelLoader": "models.loader",
    "ReconnectionGuide": "domain.recovery",
    "RecoveryAction": "domain.recovery",
    "ResourceStats": "domain.resources",
    "ResponseComparator": "evaluation.comparator",
    "SafetyFilter": "evaluation.safety",
    "SaveResult": "domain.artifacts",
    "ScreeningRecord": "domain.phi",
    "Services": "services",
    "SessionError": "errors",
    "SessionManager": "colab.session",
    "TrainingError": "errors",
    "TrainingMetadata": "domain.training",
    "TrainingMetricsLogger": "training.metrics",
    "TrainingResult": "domain.training",
    "ValidationResult": "domain.dataset",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
