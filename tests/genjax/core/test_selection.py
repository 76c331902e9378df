"""Selections: what they select, and that every method agrees about it."""

from genjax import gen, normal, sel


def test_filter_agrees_with_regenerate_on_complements():
    pair = gen(lambda: (normal(0.0, 1.0) @ "a", normal(0.0, 1.0) @ "b"))
    model = gen(lambda: pair() @ "y")
    trace = model.simulate()
    selection = ~sel(("y", "a"))
    selected, unselected = model.filter(trace.get_choices(), selection)
    assert (list(selected["y"]), list(unselected["y"])) == (["b"], ["a"])
    new = model.regenerate(trace, selection)[0]
    assert new["y"]["a"] == trace["y"]["a"] and new["y"]["b"] != trace["y"]["b"]


def test_selections():
    choices = {"a": 1.0, "b": {"c": 2.0, "d": 3.0}, "e": 4.0}
    model = gen(lambda: None)

    def selected(selection):
        return model.filter(choices, selection)[0]

    assert selected(sel("a", "e")) == {"a": 1.0, "e": 4.0}
    assert selected(sel("a") | sel(("b", "c"))) == {"a": 1.0, "b": {"c": 2.0}}
    assert selected(sel("b") & ~sel(("b", "c"))) == {"b": {"d": 3.0}} == selected(sel("b") ^ ~sel(("b", "c")))
    assert (
        selected(sel({"b": {"c": ()}, "a": ()})) == {"a": 1.0, "b": {"c": 2.0}} == selected(sel({"b": "c"}) | sel("a"))
    )
