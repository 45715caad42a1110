"""The form follows the settings' own descriptions."""

from dataclasses import fields

import gradio as gr
import pytest

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.config.setting import settings_of
from medqlora.errors import ConfigError
from ui.controls import FOLDED_SECTIONS, OPEN_SECTIONS, hint, input_for, lay_out_form


@pytest.fixture(scope="module")
def form():
    with gr.Blocks():
        return lay_out_form(QLoRAConfig(EMBEDDED_MODEL))


def test_every_setting_but_the_model_has_an_input(form):
    about_the_model = {"model_name", "model_revision", "base_weights"}
    assert set(form.inputs) == set(settings_of(QLoRAConfig)) - about_the_model


def test_the_number_of_gpus_is_asked_only_where_there_are_several(form):
    with gr.Blocks():
        several = lay_out_form(QLoRAConfig(EMBEDDED_MODEL), num_gpus=2)
    for name in ("num_processes", "shard_weights"):
        assert not form.inputs[name].visible
        assert several.inputs[name].visible


def test_every_section_has_its_place():
    sections = {about.section for about in settings_of(QLoRAConfig).values()}
    assert sections == {"Model", *OPEN_SECTIONS, *FOLDED_SECTIONS}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("rank", gr.Number),
        ("learning_rate", gr.Number),
        ("target_modules", gr.CheckboxGroup),
        ("lr_scheduler_type", gr.Dropdown),
        ("double_quantization", gr.Checkbox),
    ],
)
def test_a_field_becomes_the_input_that_suits_it(form, name, kind):
    assert type(form.inputs[name]) is kind
    assert form.inputs[name].elem_id == f"configure-{name.replace('_', '-')}"


def test_what_the_form_shows_is_what_it_gives_back(form):
    config = QLoRAConfig(EMBEDDED_MODEL, rank=8, target_modules=("q_proj",), seed=7)
    values = {"model_name": EMBEDDED_MODEL, **form.values(form.shown(config))}
    assert QLoRAConfig.from_dict(values) == config


def test_a_number_out_of_range_reaches_our_own_check(form):
    rank = form.inputs["rank"].preprocess(0)
    with pytest.raises(ConfigError, match="rank must be a whole number between 4 and 128, got 0"):
        QLoRAConfig(EMBEDDED_MODEL, rank=rank)


def test_the_range_is_said_without_exponents():
    assert hint(settings_of(QLoRAConfig)["learning_rate"]).endswith("0.000001 to 0.01.")


def test_every_input_explains_itself():
    with gr.Blocks():
        shown = [
            input_for(one, one.default) for one in fields(QLoRAConfig) if one.name != "model_name"
        ]
    assert all(one.info for one in shown)
