"""The Configure tab: the machine, what was chosen for it and why, and a form with every setting.

What suits and what is allowed is the configuration service's; the form itself is made by
`controls`.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from medqlora.config.qlora import QLoRAConfig
from medqlora.errors import ConfigError, ModelError
from medqlora.services import Services
from medqlora.services.configuration import Suggestion
from ui import markup, present, wording
from ui.controls import Form, lay_out_form
from ui.guard import guarded
from ui.shared import BUSY, LIGHT, Shared, opening, tab_name


def build(shared: Shared, page: gr.Blocks) -> None:
    """Lays the tab out and wires it."""
    models = shared.services.configuration.models()
    gpu = shared.services.configuration.environment().gpu
    default = shared.services.configuration.default_model()
    begin_with = wording.MODEL_SUGGESTED.format(card=gpu.name, model=default) if gpu else ""
    with gr.Tab("Configure", id=tab_name("Configure"), elem_id=tab_name("Configure")) as tab:
        opening("Configure")
        with gr.Row(equal_height=False):
            with gr.Column(scale=2, min_width=320):
                model = gr.Dropdown(
                    choices=[one.name for one in models],
                    value=models[0].name,
                    label="Base model",
                    info=wording.MODEL_HELP + begin_with,
                    allow_custom_value=True,
                    elem_id="configure-model",
                )
                note = gr.HTML(elem_id="configure-model-note")
                model_is_fine = gr.State(True)
            with gr.Column(scale=3, min_width=360):
                machine = gr.HTML(elem_id="configure-machine")
        with gr.Accordion("What was chosen for this machine, and why", open=False):
            choices = gr.HTML(elem_id="configure-choices")
        form = lay_out_form(QLoRAConfig(models[0].name), num_gpus=gpu.count if gpu else 0)
        with gr.Row(equal_height=True, elem_classes="mq-actions"):
            status = gr.HTML(elem_id="configure-status")
            reset = gr.Button("Suggested values", elem_id="configure-reset", scale=0, min_width=180)
            go_on = gr.Button(
                "Continue to Train",
                variant="primary",
                elem_id="configure-continue",
                scale=0,
                min_width=200,
            )
    handlers = Handlers(shared.services, form)
    suggested = [machine, choices, note, status, shared.settings, *form.components]
    checked = [status, shared.settings]
    given = [shared.dataset_id, shared.settings, *form.components]
    asked = [shared.dataset_id, shared.settings, model]
    page.load(guarded(handlers.suggest), asked, suggested, **LIGHT)
    # The hub may take its time to answer, and only the note should look busy meanwhile.
    model.input(guarded(handlers.look), asked, [note, model_is_fine], **BUSY).then(
        guarded(handlers.choose), [model_is_fine, *asked], suggested, **LIGHT
    )
    reset.click(guarded(handlers.suggest), asked, suggested, **LIGHT)
    tab.select(guarded(handlers.check), given, checked, **LIGHT)
    gr.on(
        [one.input for one in form.components],
        guarded(handlers.check),
        given,
        checked,
        trigger_mode="always_last",
        **LIGHT,
    )
    go_on.click(lambda: gr.Tabs(selected=tab_name("Train")), None, shared.tabs, **LIGHT)


class Handlers:
    """What the tab's controls do.

    Args:
        services: The backend.
        form: The form that shows the settings.
    """

    def __init__(self, services: Services, form: Form) -> None:
        self._datasets = services.datasets
        self._configuration = services.configuration
        self._form = form

    def look(self, dataset_id: str, kept: dict[str, Any], model_name: str) -> list[Any]:
        """What is known of a model before it is loaded, and whether it can be used here."""
        del dataset_id
        try:
            return [self._note(model_name or ""), True]  # an emptied field gives None
        except ModelError as error:
            kept_model = wording.MODEL_KEPT.format(model=self._model_of(kept))
            return [markup.notice(f"{error} {kept_model}", "bad"), False]

    def choose(
        self, is_fine: bool, dataset_id: str, kept: dict[str, Any], model_name: str
    ) -> list[Any]:
        """Another model was chosen; one that cannot be used here changes nothing."""
        if not is_fine:
            return [gr.skip()] * (5 + len(self._form.components))
        return self.suggest(dataset_id, kept, model_name)

    def suggest(self, dataset_id: str, kept: dict[str, Any], model_name: str) -> list[Any]:
        """What suits a model, this machine and the data, shown in the form."""
        note, is_fine = self.look(dataset_id, kept, model_name)
        if not is_fine:
            return [gr.skip(), gr.skip(), note, *[gr.skip()] * (2 + len(self._form.components))]
        num_train = self._datasets.card(dataset_id).num_train if dataset_id else None
        suggestion = self._configuration.defaults(model_name, num_train=num_train)
        return [
            markup.facts(present.machine(self._configuration.environment())),
            _reasons(suggestion),
            note,
            self._summary(suggestion.config, dataset_id),
            suggestion.config.to_dict(),
            *self._form.shown(suggestion.config),
        ]

    def check(self, dataset_id: str, kept: dict[str, Any], *given: Any) -> list[Any]:
        """Says at once whether the settings are fine, and keeps them when they are."""
        values = {"model_name": self._model_of(kept), **self._form.values(given)}
        try:
            config = self._configuration.build(values)
        except ConfigError as error:
            return [markup.notice(f"{error} {wording.SETTINGS_KEPT}", "bad"), kept]
        return [self._summary(config, dataset_id), config.to_dict()]

    def _model_of(self, kept: dict[str, Any]) -> str:
        return str(kept.get("model_name") or self._configuration.models()[0].name)

    def _note(self, model_name: str) -> str:
        """What is known of the model before it is loaded.

        Raises:
            ModelError: It cannot be used here.
        """
        report = self._configuration.compatibility(model_name)
        report.require()
        entry = next((o for o in self._configuration.models() if o.name == model_name), None)
        card = self._configuration.smallest_card(model_name)
        about = present.model_note(entry, report, smallest_card=card)
        if entry and entry.needs_gpu and self._configuration.environment().gpu is None:
            return markup.notice(f"{wording.GPU_NEEDED} {about}", "warn")
        return markup.note(about)

    def _summary(self, config: QLoRAConfig, dataset_id: str) -> str:
        batch = config.effective_batch_size
        if not dataset_id:
            fine = wording.SETTINGS_FINE_WITHOUT_DATA.format(batch=batch)
            return markup.notice(fine) + self._needs(config)
        card = self._datasets.card(dataset_id)
        sentence = wording.SETTINGS_FINE.format(
            steps=f"{config.total_steps(card.num_train):,}",
            batch=batch,
            name=card.name,
            entries=f"{card.num_train:,}",
        )
        return markup.notice(sentence, "good") + self._needs(config)

    def _needs(self, config: QLoRAConfig) -> str:
        """What a run takes: memory, and what it fetches first."""
        fetched = self._configuration.download(config).message
        said = markup.notice(fetched, "plain") if fetched else ""
        try:
            found = self._configuration.memory(config)
        except ModelError:
            return said  # what is wrong with the model is said beside it
        return markup.notice(found.message, "plain" if found.verdict == "fits" else "warn") + said


def _reasons(suggestion: Suggestion) -> str:
    return markup.reasons(
        (one.name.replace("_", " ").capitalize(), one.value, one.reason)
        for one in suggestion.choices
    )
