"""Renders templates with jinja2, in the environment that transformers gives to chat templates.

Reads one JSON object a line: {"template", "variables", "now"} (now: milliseconds since 1970, optional).
Writes one a line: {"text"} or {"error": [class, message, line or null]}. With --version, prints jinja2's version.
"""

import json
import re
import sys
import traceback
from datetime import datetime

import jinja2
from jinja2.ext import Extension, loopcontrols
from jinja2.nodes import CallBlock
from jinja2.sandbox import ImmutableSandboxedEnvironment


class Generation(Extension):
    """{% generation %}: text as it is, in a scope of its own."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return CallBlock(self.call_method("_render"), [], [], body).set_lineno(line)

    def _render(self, caller):
        return caller()


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


now = datetime(2024, 7, 5, 3, 4, 5)


def strftime_now(format):
    return now.strftime(format)


environment = ImmutableSandboxedEnvironment(
    trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols], cache_size=0
)
environment.filters["tojson"] = tojson
environment.globals["raise_exception"] = raise_exception
environment.globals["strftime_now"] = strftime_now


def line_of(error):
    if isinstance(error, jinja2.TemplateSyntaxError):
        return error.lineno
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == "<template>"]
    return lines[-1] if lines else None


def render(job):
    global now
    if "now" in job:
        now = datetime.fromtimestamp(job["now"] / 1000)
    try:
        text = environment.from_string(job["template"]).render(**job.get("variables", {}))
        return {"text": re.sub(r"0x[0-9a-f]{5,16}", "0x7f0000000000", text)}
    except Exception as error:
        message = error.message if isinstance(error, jinja2.TemplateSyntaxError) else str(error)
        return {"error": [type(error).__name__, message, line_of(error)]}


if "--version" in sys.argv:
    print(jinja2.__version__)
else:
    import warnings

    warnings.simplefilter("ignore")
    for text in sys.stdin:
        print(json.dumps(render(json.loads(text))), flush=True)
