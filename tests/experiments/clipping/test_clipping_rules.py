"""Every clipping rule on a case of a few numbers that is computed by hand, and its closed facts.

Two rules were also compared with packages of others, once, on 2000 log-normal norms with 60 outliers. ZClip has the
mean and deviation of zclip 1.0.0 (without its fixed norm and its 1e-6) to 1e-15, and its clipped norms to 5e-7, because
that package divides by the norm plus 1e-6. AutoClip's threshold is that of autoclip 0.2.1 one step later, whose
history ends before the current step, to 2e-16.
"""

import math

import numpy as np
import pytest
import torch

from experiments.clipping import (
    AdaGC,
    AutoClip,
    ClipByUnit,
    ClipNorm,
    ClipNormByParameter,
    ClipValue,
    SoftClip,
    ZClip,
    apply_clipping,
    total_norm,
)
from experiments.config.composing import compose
from experiments.config.parts import build


def gradients_of(*values, dtype=torch.float64):
    return [torch.tensor(one, dtype=dtype) for one in values]


def clip(rule, *values):
    """Apply a rule; return the clipped gradients as lists, and what was measured."""
    gradients = gradients_of(*values)
    clipped = apply_clipping(rule, gradients, total_norm(gradients))
    return [one.tolist() for one in gradients], clipped


def clip_norms(rule, norms):
    """Apply a rule to gradients of one entry each; return the clipped norms and the thresholds."""
    outcomes = [clip(rule, [norm])[1] for norm in norms]
    return [one.norm for one in outcomes], [one.threshold for one in outcomes]


def test_by_parameter_each_parameter_has_a_norm_of_its_own():
    gradients, clipped = clip(ClipNormByParameter(1.0), [3.0, 4.0], [0.6])
    assert gradients[0] == pytest.approx([0.6, 0.8], rel=1e-12)
    assert gradients[1] == [0.6]
    assert clipped.threshold == 1.0
    assert clipped.share == pytest.approx(2 / 3)
    assert clipped.cosine == pytest.approx((3 * 0.6 + 4 * 0.8 + 0.36) / math.hypot(5, 0.6) / math.hypot(1, 0.6))


def test_soft_halves_a_gradient_at_the_threshold():
    gradients, clipped = clip(SoftClip(5.0), [3.0, 0.0, 4.0])
    assert gradients[0] == pytest.approx([1.5, 0.0, 2.0], rel=1e-12)
    assert (clipped.threshold, clipped.share) == (5.0, 1.0)  # the entry of 0 does not count
    assert clipped.cosine == pytest.approx(1.0)


@pytest.mark.parametrize("norm", [1e-12, 0.01, 1.0, 7.0, 1e10, 1e300])
def test_soft_is_between_a_half_and_all_of_clipping_by_norm(norm):
    (soft,), _ = clip_norms(SoftClip(1.0), [norm])
    hard = min(norm, 1.0)
    assert 0.5 * hard * (1 - 1e-12) <= soft <= hard
    assert soft == pytest.approx(norm / (1 + norm), rel=1e-12)


def unit_clip(**options):
    """AGC on a network with hidden size 2 whose recurrent matrix has rows of norm 5 and 0, and a zero gradient."""
    network = build(compose(["dtype=float64", "model.hidden_size=2"])).network
    rule = ClipByUnit(ratio=0.1, floor=0.01, **options)
    rule.attach(network)
    with torch.no_grad():
        network.cells[0].weight_hh.copy_(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    gradients = {name: torch.zeros_like(one) for name, one in network.named_parameters()}
    return network, rule, gradients


def test_agc_clips_each_unit_relative_to_its_weights():
    _, rule, gradients = unit_clip()
    gradients["layers.0.weight_hh"][:] = torch.tensor([[6.0, 8.0], [0.0003, 0.0004]], dtype=torch.float64)
    gradients["readout.bias"][:] = 100.0
    apply_clipping(rule, list(gradients.values()), 1.0)
    limited = gradients["layers.0.weight_hh"]
    assert limited[0].tolist() == pytest.approx([0.3, 0.4], rel=1e-12)  # 0.1 of 5
    assert limited[1].tolist() == [0.0003, 0.0004]  # below 0.1 of the floor
    assert gradients["readout.bias"].tolist() == [100.0]


def test_agc_clips_the_readout_if_asked_and_a_bias_as_a_whole():
    network, rule, gradients = unit_clip(readout=True)
    with torch.no_grad():
        network.cells[0].bias_hh.copy_(torch.tensor([0.6, 0.8], dtype=torch.float64))
        network.readout.bias.fill_(2.0)
    gradients["layers.0.bias_hh"][:] = torch.tensor([30.0, 40.0])
    gradients["readout.bias"][:] = 100.0
    apply_clipping(rule, list(gradients.values()), 1.0)
    assert gradients["layers.0.bias_hh"].tolist() == pytest.approx([0.06, 0.08], rel=1e-12)
    assert gradients["readout.bias"].tolist() == pytest.approx([0.2], rel=1e-12)


def test_the_threshold_of_agc_is_that_of_all_units_together():
    network, rule, gradients = unit_clip()
    limits = []
    for name, one in network.named_parameters():
        if "layers" in name:
            each = one.detach().norm(dim=1) if one.dim() > 1 else one.detach().norm()[None]
            limits += [0.1 * max(float(size), 0.01) for size in each]
    for gradient in gradients.values():
        gradient[:] = 1e6
    gradients["readout.weight"].zero_()
    gradients["readout.bias"].zero_()
    clipped = apply_clipping(rule, list(gradients.values()), total_norm(list(gradients.values())))
    assert clipped.threshold == pytest.approx(math.hypot(*limits), rel=1e-12)
    assert clipped.norm == pytest.approx(clipped.threshold, rel=1e-12)


def test_autoclip_takes_the_percentile_of_all_norms_with_the_latest():
    norms, thresholds = clip_norms(AutoClip(50.0), [1.0, 2.0, 10.0])
    assert thresholds == [1.0, 1.5, 2.0]
    assert norms == pytest.approx([1.0, 1.5, 2.0], rel=1e-12)
    drawn = np.random.default_rng(0).lognormal(size=200)
    _, thresholds = clip_norms(AutoClip(10.0), drawn)
    np.testing.assert_allclose(thresholds, [np.percentile(drawn[: i + 1], 10) for i in range(200)], rtol=1e-12)


def test_zclip_pulls_an_outlier_below_its_threshold():
    rule = ZClip(limit=2.0, decay=0.5, warmup=2)
    norms, thresholds = clip_norms(rule, [1.0, 3.0, 6.0])  # mean 2, deviation 1; z = 4, and 2 + 2^2 / 4 = 3
    assert thresholds == [None, None, 4.0]
    assert norms == pytest.approx([1.0, 3.0, 3.0], rel=1e-12)
    (norm,), (threshold,) = clip_norms(rule, [2.5])  # mean 2.5, variance (1 + 0.25) / 2
    assert (norm, threshold) == (2.5, pytest.approx(2.5 + 2 * 0.625**0.5, rel=1e-12))


def test_zclip_clips_to_the_mean_if_all_norms_were_equal():
    norms, thresholds = clip_norms(ZClip(2.0, 0.5, 2), [3.0, 3.0, 5.0])
    assert norms == pytest.approx([3.0, 3.0, 3.0], rel=1e-12)
    assert thresholds[-1] == 3.0


def test_adagc_has_a_level_for_each_parameter():
    rule = AdaGC(ratio=2.0, decay=0.5, threshold=5.0, warmup=2)
    gradients, clipped = clip(rule, [6.0], [8.0])  # norm 10, so halved: levels 3 and 4
    assert [gradients[0][0], gradients[1][0], clipped.threshold] == pytest.approx([3.0, 4.0, 5.0], rel=1e-12)
    clip(rule, [1.0], [4.5])  # the levels are the smallest so far: 1 and 4
    gradients, clipped = clip(rule, [3.0], [4.0])  # limits 2 and 8
    assert gradients == [pytest.approx([2.0], rel=1e-12), [4.0]]
    assert clipped.threshold == pytest.approx(math.hypot(2.0, 8.0), rel=1e-12)
    assert clipped.share == 0.5
    _, clipped = clip(rule, [1.0], [1.0])  # levels (1 + 2) / 2 and (4 + 4) / 2
    assert clipped.threshold == pytest.approx(math.hypot(3.0, 8.0), rel=1e-12)


@pytest.mark.parametrize("rule", [AutoClip(10.0), ZClip(2.0, 0.9, 1), AdaGC(2.0, 0.9, 1.0, 1), AdaGC(2.0, 0.0, 1.0, 0)])
def test_gradients_of_zero_do_not_stop_the_training_for_good(rule):
    zeros = [clip(rule, [0.0, 0.0])[1] for _ in range(5)]
    assert [one.norm for one in zeros] == [0.0] * 5
    norms, _ = clip_norms(rule, [0.5, 0.5, 0.5])
    assert norms[-1] == 0.5


RULES = {
    "norm": lambda: ClipNorm(0.5),
    "by_parameter": lambda: ClipNormByParameter(0.5),
    "value": lambda: ClipValue(0.5),
    "soft": lambda: SoftClip(0.5),
    "autoclip": lambda: AutoClip(10.0),
    "zclip": lambda: ZClip(1.0, 0.9, 5),
    "adagc": lambda: AdaGC(1.05, 0.9, 0.5, 5),
}


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("size", [1e-30, 1.0, 1e30])
def test_no_entry_grows_or_changes_its_sign(name, size):
    rule, generator = RULES[name](), torch.Generator().manual_seed(0)
    for _ in range(30):
        before = [torch.randn(3, 4, generator=generator) * size, torch.randn(5, generator=generator) * size]
        before[0] *= torch.rand((), generator=generator) ** -2
        after = [one.clone() for one in before]
        clipped = apply_clipping(rule, after, total_norm(before))
        for old, new in zip(before, after, strict=True):
            assert (new.abs() <= old.abs()).all()
            assert (new * old >= 0).all()
        assert 0 <= clipped.share <= 1
        assert (clipped.share == 0) == all(map(torch.equal, before, after))


@pytest.mark.parametrize("name", ["norm", "soft", "autoclip", "zclip"])
def test_rules_for_the_whole_gradient_keep_its_direction(name):
    rule, generator = RULES[name](), torch.Generator().manual_seed(0)
    shares = set()
    for _ in range(30):
        gradients = [torch.randn(4, generator=generator, dtype=torch.float64).exp() for _ in range(2)]
        clipped = apply_clipping(rule, gradients, total_norm(gradients))
        assert clipped.cosine == pytest.approx(1.0, abs=1e-12)
        shares.add(clipped.share)
    assert shares <= {0.0, 1.0}
    assert 1.0 in shares


@pytest.mark.parametrize("name", ["autoclip", "zclip", "adagc"])
def test_a_rule_with_a_saved_state_goes_on_as_if_it_had_not_stopped(name):
    norms = np.random.default_rng(1).lognormal(size=30)
    unbroken = clip_norms(RULES[name](), norms)
    first, second = RULES[name](), RULES[name]()
    begun = clip_norms(first, norms[:17])
    second.load_state_dict(first.state_dict())
    assert tuple(a + b for a, b in zip(begun, clip_norms(second, norms[17:]), strict=True)) == unbroken
