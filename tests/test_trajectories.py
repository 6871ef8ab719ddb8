"""The update rules walk as torch's do: 1000 steps of every rule with every option.

Here because a rule that is nearly Adam is not Adam. It tests the kernels and their reference against scalar_rules.py,
that against numbers which were made with it once, and against torch where torch is installed.
"""

import warnings

import numpy as np
import pytest
from scalar_rules import CASES, RULES, TORCH, gradient, name_of, start, trajectory

import steepest as sd

STEPS, COUNT = 1000, 16
CLOSE = 1e-15 * STEPS**0.5      # of the norm: entries that pass zero have no relative precision of their own
CLASSES = {rule.__name__.lower(): rule for rule in vars(sd.optim).values() if isinstance(rule, type)}

# Entries 0, 1 and 5 after 1000 steps.
NUMBERS = {
    "sgd-lr=0.03":
        [-0.3956249999999989, -0.14140625, 0.8754687499999999],
    "sgd-lr=0.03-momentum=0.9":
        [-0.4821180041471494, -0.2919273469288953, 0.9616036678966675],
    "sgd-lr=0.03-momentum=0.9-dampening=0.25":
        [-0.440104128110364, -0.24785176019667007, 0.8907340009225015],
    "sgd-lr=0.03-momentum=0.9-nesterov=True":
        [-0.4920312037324368, -0.2916408622360044, 0.9534120511070009],
    "sgd-lr=0.03-momentum=0.5-weight_decay=0.125":
        [-0.020643194009825883, -0.02261195766390265, -0.002024711734912605],
    "adagrad":
        [-0.37135931715516646, -0.12312461551241131, 0.8737510948236724],
    "adagrad-lr=0.1-lr_decay=0.01-weight_decay=0.125-initial_accumulator_value=0.5-eps=0.001":
        [-0.2058059010230139, -0.09151689566093174, 0.4920569242008277],
    "adadelta":
        [-0.37964860378171206, -0.12631251582454495, 0.8740117037287157],
    "adadelta-lr=0.5-rho=0.75-eps=0.001-weight_decay=0.125":
        [-0.026528197385028502, -0.014142926286856684, -0.026033957420768694],
    "rmsprop":
        [-0.35320754188669207, -0.11667283060782041, 0.8514939994928457],
    "rmsprop-centered=True-eps=0.001":
        [-0.35602451914989386, -0.14012070544115934, 0.8517548654117986],
    "rmsprop-momentum=0.75-alpha=0.9":
        [-0.6371806495246018, -0.4144795381173536, 0.5834267203824026],
    "rmsprop-momentum=0.75-centered=True-weight_decay=0.125-eps=0.001":
        [-0.015222857797295852, -0.037033642674123256, -0.004170651456048456],
    "rmsprop-compat=paper-eps=0.001":
        [-0.3860336375282122, -0.19560791325569593, 0.8570852978582872],
    "rmsprop-compat=paper-eps=0.001-centered=True-momentum=0.5":
        [-0.39380970603743, -0.27438668033458996, 0.8500262663158887],
    "adam":
        [-0.37454140204160125, -0.12647943042524554, 0.8748611999937301],
    "adam-lr=0.01-betas=(0.75, 0.95)-eps=0.001-weight_decay=0.125":
        [-0.02850010983227495, -0.017341668741183064, 0.057206614513517],
    "adam-lr=0.01-amsgrad=True-betas=(0.9, 0.9)":
        [-0.37015706919498775, -0.13909322390138373, 0.8733091880166504],
    "adam-lr=0.01-weight_decay=0.125-decoupled_weight_decay=True":
        [-0.10771295528522294, -0.04373959577397192, 0.24989776206958977],
    "adamw":
        [-0.3708170978415521, -0.12522616792240585, 0.8661559456604975],
    "adamw-lr=0.01-weight_decay=0.5-amsgrad=True":
        [-0.004500453424210064, -0.006182087513959122, 0.005281020044461678],
    "nadam":
        [-0.37680774944921386, -0.1264477853879811, 0.8745489862945187],
    "nadam-lr=0.01-betas=(0.75, 0.95)-weight_decay=0.125-momentum_decay=0.5":
        [-0.03362856900102702, -0.019338556705068587, 0.05362962000751555],
    "nadam-lr=0.01-weight_decay=0.125-decoupled_weight_decay=True":
        [-0.11434595391468223, -0.04169786304755639, 0.24731540985596467],
    "radam":
        [-0.37486442539544707, -0.12586166783300012, 0.8743065308832906],
    "radam-lr=0.01-betas=(0.75, 0.9)-weight_decay=0.125-eps=0.001":
        [-0.030705704546240782, -0.018130657228205546, 0.05969785998657355],
    "radam-lr=0.01-weight_decay=0.125-decoupled_weight_decay=True":
        [-0.10799425301119563, -0.040631400301250405, 0.2483507780168016],
    "adamax":
        [-0.37376706187733066, -0.12629400717089742, 0.8738600011381517],
    "adamax-lr=0.01-betas=(0.75, 0.9)-weight_decay=0.125-eps=0.001":
        [-0.03494687318307594, -0.0030504137604150986, 0.14697088748693823],
    "rprop":
        [-0.3531309328124995, -0.1131816679687501, 0.8655063484374993],
    "rprop-lr=0.5-etas=(0.25, 1.5)-step_sizes=(0.001, 0.75)":
        [0.4432265625, 0.435390625, 0.2777109375],
    "asgd":
        [-0.38149456469493537, -0.13033895595559625, 0.8742811454230183],
    "asgd-lr=0.1-lambd=0.01-alpha=0.5-t0=10-weight_decay=0.125":
        [-0.028746986096707238, -0.015374091757333095, -0.021806595618995357],
    "adabelief":
        [-0.37445983482488493, -0.12657722567916638, 0.8748003530284647],
    "adabelief-lr=0.01-betas=(0.75, 0.95)-eps=0.001-eps_root=1e-06-weight_decay=0.125":
        [-0.01983321132231984, -0.016383369215196873, 0.03166938966428688],
    "adabelief-lr=0.01-weight_decay=0.125-decoupled_weight_decay=True":
        [-0.10758438431529965, -0.044246025946805795, 0.24970543963722494],
    "lion":
        [-0.37020000000000053, -0.12039999999999985, 0.8805999999999994],
    "lion-lr=0.01-betas=(0.75, 0.95)-weight_decay=0.125":
        [0.29075115985155464, 0.3685404544459856, 0.6571948203490243],
}


def apart(a, b):
    """The difference, relative to the norm."""
    return np.linalg.norm(np.subtract(a, b)) / np.linalg.norm(b)


def gradients(sign=1):
    """Those of all steps, ready-made."""
    return [np.array([sign * gradient(t, i) for i in range(COUNT)]) for t in range(1, STEPS + 1)]


def test_the_table_has_every_case():
    assert list(NUMBERS) == [name_of(case) for case in CASES]
    assert set(RULES) == {rule for rule, _ in CASES} == set(CLASSES) - {"optimizer", "group"}


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_the_formulas_give_the_numbers_that_they_gave(case):
    rule, options = case
    found = [RULES[rule](start(i), (gradient(t, i) for t in range(1, STEPS + 1)), **options) for i in (0, 1, 5)]
    assert apart(found, NUMBERS[name_of(case)]) <= CLOSE


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_a_thousand_steps_are_those_of_the_formulas(backend, case):
    rule, options = case
    x = np.array([start(i) for i in range(COUNT)])
    opt = CLASSES[rule](x, **options)
    for g in gradients():
        opt.step(g)
    assert apart(x, trajectory(rule, options, STEPS, COUNT)) <= CLOSE


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_climbing_is_descending_on_the_negated_gradient(backend, case):
    rule, options = case
    x = np.array([start(i) for i in range(COUNT)])
    opt = CLASSES[rule](x, maximize=True, **options)
    for g in gradients()[:50]:
        opt.step(g)
    assert apart(x, trajectory(rule, options, 50, COUNT, sign=-1)) <= CLOSE


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_float32_walks_beside_float64(backend, case):
    rule, options = case
    x = np.array([start(i) for i in range(COUNT)], np.float32)
    opt = CLASSES[rule](x, **options)
    for g in gradients()[:100]:
        opt.step(g.astype(np.float32))
    close = 5e-2 if rule in ("lion", "rmsprop") else 2e-4     # the sign, or the root, of what is nearly 0
    assert apart(x, trajectory(rule, options, 100, COUNT)) <= close


@pytest.mark.parametrize("case", [case for case in CASES if case[0] in TORCH and "compat" not in case[1]], ids=name_of)
def test_the_formulas_are_those_of_torch(case):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch = pytest.importorskip("torch")
    rule, options = case
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)      # else NAdam and ASGD keep numbers in float32
    try:
        x = torch.tensor([start(i) for i in range(COUNT)])
        opt = getattr(torch.optim, CLASSES[rule].__name__)([x], foreach=False, **options)
        for g in gradients():
            x.grad = torch.from_numpy(g)
            opt.step()
    finally:
        torch.set_default_dtype(default)
    assert apart(trajectory(rule, options, STEPS, COUNT), x.numpy()) <= CLOSE
