"""MedicalQueryEvaluator asks a loaded model and says what can be said of its answers.

It generates through `models.generation`, scores through `metrics` and looks at every answer with
the safety filter. It does not load models, keep a run's results (`runs` does), or know whether an
answer is medically right.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from medqlora.data.tokenizer import user_message
from medqlora.domain.dataset import MedicalDataEntry
from medqlora.domain.evaluation import ComparisonResult, EvaluationResult, FilterResult, ItemResult
from medqlora.domain.generation import GenerationSettings
from medqlora.errors import EvaluationError
from medqlora.evaluation.comparator import ResponseComparator
from medqlora.evaluation.metrics import score
from medqlora.evaluation.reference_loss import reference_losses
from medqlora.evaluation.safety import SafetyFilter
from medqlora.models.engine import BASE_ADAPTER, TUNED_ADAPTER
from medqlora.models.generation import Generated, carries_adapters, generate

if TYPE_CHECKING:
    from peft import PeftModel


def _never() -> bool:
    return False


class MedicalQueryEvaluator:
    """Asks a model, compares its answers and looks at them for safety.

    Answers are greedy, so that the same model gives the same answer again.

    Args:
        tokenizer: The model's tokenizer, with a chat template.
        max_new_tokens: Longest answer in tokens.
        safety_filter: What looks at the answers; the product's own rules where none is given.
    """

    def __init__(
        self,
        *,
        tokenizer: Any,
        max_new_tokens: int = 160,
        safety_filter: SafetyFilter | None = None,
    ) -> None:
        self._tokenizer = tokenizer
        self._settings = GenerationSettings(max_new_tokens=max_new_tokens)
        self._safety_filter = safety_filter or SafetyFilter()
        self._comparator = ResponseComparator()

    def evaluate_query(self, query: str, model: PeftModel) -> EvaluationResult:
        """The fine-tuned model's answer to `query`; a model without adapters answers as it is.

        Raises:
            EvaluationError: The query is empty, or longer than the model can read.
        """
        adapter = TUNED_ADAPTER if carries_adapters(model) else BASE_ADAPTER
        [generated] = self._generate([query], model, adapters=[adapter])
        return self._result(query, generated, reference=None)

    def evaluate_entries(
        self,
        entries: Sequence[MedicalDataEntry],
        model: PeftModel,
        *,
        first_index: int = 1,
        should_stop: Callable[[], bool] = _never,
    ) -> list[ItemResult]:
        """Both models' answers to every entry, scored, from one set of weights in one batch.

        Args:
            entries: What is asked; an entry without an answer gets no scores.
            model: A model with our adapter; the base model answers with the adapter left out.
            first_index: Index of the first entry.
            should_stop: Asked after each token; True cuts all answers short.

        Raises:
            EvaluationError: A query is empty, or longer than the model can read.
        """
        queries = [user_message(entry) for entry in entries]
        answers = self._generate(
            queries * 2,
            model,
            adapters=[BASE_ADAPTER] * len(entries) + [TUNED_ADAPTER] * len(entries),
            should_stop=should_stop,
        )
        return [
            self._item(
                first_index + i, entry, model, base=answers[i], tuned=answers[len(entries) + i]
            )
            for i, entry in enumerate(entries)
        ]

    def _item(
        self,
        index: int,
        entry: MedicalDataEntry,
        model: PeftModel,
        *,
        base: Generated,
        tuned: Generated,
    ) -> ItemResult:
        reference = entry.answer or None
        base_loss, tuned_loss = reference_losses(model, self._tokenizer, entry)
        return ItemResult(
            index=index,
            reference=reference,
            base=replace(
                self._result(entry.question, base, reference=reference), reference_loss=base_loss
            ),
            finetuned=replace(
                self._result(entry.question, tuned, reference=reference), reference_loss=tuned_loss
            ),
            metadata=entry.metadata,
        )

    def compare_responses(
        self, query: str, base_response: str, finetuned_response: str
    ) -> ComparisonResult:
        """Two answers side by side; see `ResponseComparator.compare` for one with a reference."""
        return self._comparator.compare(query, base_response, finetuned_response)

    def filter_unsafe_content(self, response: str) -> FilterResult:
        """What the safety filter says of a response; see `safety` for what it does not cover."""
        return self._safety_filter.check_response(response)

    def _generate(
        self,
        queries: Sequence[str],
        model: PeftModel,
        *,
        adapters: Sequence[str],
        should_stop: Callable[[], bool] = _never,
    ) -> list[Generated]:
        if not all(query.strip() for query in queries):
            raise EvaluationError("The question is empty.", hint="Type a question.")
        return generate(
            model,
            self._tokenizer,
            [[{"role": "user", "content": query}] for query in queries],
            adapters=adapters,
            settings=self._settings,
            should_stop=should_stop,
        )

    def _result(
        self, query: str, generated: Generated, *, reference: str | None
    ) -> EvaluationResult:
        return EvaluationResult(
            query=query,
            response=generated.text,
            num_tokens=generated.num_tokens,
            seconds=generated.seconds,
            scores={} if reference is None else score(generated.text, reference),
            filter_result=self._safety_filter.check_response(generated.text, query=query),
        )
