from forwardpass_server.memory import ByteBudget


def test_a_caller_gets_half_and_all_get_the_whole() -> None:
    budget = ByteBudget(100)
    assert budget.take("a", 50)
    assert not budget.take("a", 1)
    assert budget.take("b", 50)
    assert not budget.take("c", 1)
    budget.give_back("a", 50)
    assert budget.take("c", 50)
    assert budget.held == 100


def test_a_caller_that_holds_nothing_may_take_more_than_its_half() -> None:
    budget = ByteBudget(100)
    assert budget.take("a", 90)
    assert not budget.take("b", 20)
    budget.give_back("a", 90)
    assert budget.take("b", 1_000), "nothing else is held, so waiting would not help"


def test_who_waits_is_called_back_in_order_once_there_is_room() -> None:
    budget, called = ByteBudget(100), list[str]()
    assert budget.take("a", 50)
    assert budget.take("b", 40)
    budget.take_or_wait("a", 50, lambda: called.append("a"))
    budget.take_or_wait("c", 30, lambda: called.append("first"))
    budget.take_or_wait("c", 20, lambda: called.append("second"))
    assert not called
    budget.give_back("b", 40)
    assert called == ["first", "second"], "the caller at its half does not make the others wait"
    budget.give_back("a", 50)
    assert called == ["first", "second", "a"]
    assert budget.held == 100
