"""How the pages look: colours, fonts, style sheet, script, and the browser's Plotly.

Colours are chosen so that text reaches the contrast that WCAG 2.2 asks for (4.5 to 1) in the light
and the dark look. What is on the pages is for `layout` and the tabs.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import gradio as gr

ASSETS = Path(__file__).resolve().parent / "assets"


def make_theme() -> gr.themes.Base:
    """Calm: white cards on a light ground, one deep teal for what can be pressed."""
    theme = gr.themes.Base(
        primary_hue=gr.themes.colors.teal,
        secondary_hue=gr.themes.colors.teal,
        neutral_hue=gr.themes.colors.slate,
        radius_size=gr.themes.sizes.radius_lg,
        spacing_size=gr.themes.sizes.spacing_md,
        text_size=gr.themes.sizes.text_md,
        font=(gr.themes.LocalFont("IBM Plex Sans", weights=(400, 700)), "system-ui", "sans-serif"),
    )
    return theme.set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        body_text_color="*neutral_800",
        body_text_color_dark="*neutral_100",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
        block_label_text_color="*neutral_700",
        block_label_text_color_dark="*neutral_200",
        block_title_text_color="*neutral_800",
        block_title_text_color_dark="*neutral_100",
        block_border_width="1px",
        block_shadow="none",
        block_background_fill="white",
        block_background_fill_dark="*neutral_900",
        input_background_fill="white",
        input_background_fill_dark="*neutral_800",
        input_border_width="1px",
        input_border_color="*neutral_300",
        input_border_color_dark="*neutral_600",
        input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="*neutral_400",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover_dark="*primary_600",
        button_primary_text_color="white",
        button_primary_text_color_dark="white",
        button_secondary_background_fill="white",
        button_secondary_background_fill_hover="*neutral_100",
        button_secondary_background_fill_dark="*neutral_800",
        button_secondary_background_fill_hover_dark="*neutral_700",
        button_secondary_border_color="*neutral_300",
        button_secondary_border_color_dark="*neutral_600",
        button_border_width="1px",
        slider_color="*primary_700",
        slider_color_dark="*primary_400",
        checkbox_background_color_selected="*primary_700",
        checkbox_background_color_selected_dark="*primary_600",
        color_accent="*primary_700",
        link_text_color="*primary_700",
        link_text_color_dark="*primary_300",
    )


def stylesheet() -> str:
    """Our CSS."""
    return (ASSETS / "style.css").read_text(encoding="utf-8")


def head() -> str:
    """Our script for the page's head; it fetches Plotly from this server when first needed."""
    return '<script src="page/page.js"></script>'


def scripts() -> dict[str, Path]:
    """The scripts that the page loads from `page/`, by name."""
    return {"page.js": ASSETS / "page.js", "plotly.min.js": plotly_file()}


def plotly_file() -> Path:
    """The browser's Plotly, as the Python package carries it; that is not imported."""
    spec = find_spec("plotly")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("No module named 'plotly'", name="plotly")
    return Path(spec.origin).resolve().parent / "package_data" / "plotly.min.js"
