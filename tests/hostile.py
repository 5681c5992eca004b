"""Names and texts that would do something where they are not escaped, for every writer's tests."""

from __future__ import annotations

from hypothesis import strategies as st

#: Each would start something, break something or hide something somewhere.
HOSTILE = (
    "<script>document.title='run'</script>",
    "<img src=x onerror=\"document.title='run'\">",
    "</script><svg onload=document.title='run'>",
    "[click](javascript:alert(1))",
    "a|b||c",
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "'quoted'",
    "$x$ and $y$",
    r"\input{/etc/passwd}",
    r"\write18{id}",
    "[2cm] bracket",
    "* star",
    "50% & more_ #1 {x} ~^",
    "\x1b[31mred\x1b[0m\x07",
    "two\nlines\r\nand\rmore",
    "line\u2028separator",
    "\u202egnp.exe",
    "猫 and 狗",
    "😀👩‍👩‍👧",
    "L∞ σ × −1",
    "[bold]markup[/bold] :smile:",
    "{{ 7 * 7 }} {% raw %} {0} %s",
    "&lt;entity&gt; &amp;",
    "\"double\" 'single' `back`",
    "C++",
    "C",
    "c",
    "con",
    ".",
    "../../escape",
    "_hidden_",
    "--- # !yaml *x &y",
    "x" * 300,
    "\udcff no utf-8",
    "\0",
)

#: Any text at all, half a surrogate pair included.
any_text = st.sampled_from(HOSTILE) | st.text(st.characters(codec=None), max_size=40)
