"""The cells of models/cells/ once more: one timestep each in NumPy, written from the equations of the papers.

Each function takes the parameters of a cell as a dictionary `p`, the input x of one timestep and the state before it,
and returns the state after it. It passes every state and gate through `keep(name, value)` as soon as it is known, which
records it, and may nudge it for central differences.

Where the authors' own code can be read, a comment names the file and the commit that the equations were held against.
"""

from collections import defaultdict
from functools import cache

import numpy as np
import scipy.linalg
import scipy.signal


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def run(step, p, x, state, nudge=None, **options):
    """Run over a sequence. Return every state and gate by name, (time, batch, size).

    nudge: (name, timestep from 0, change), which adds `change` to that state as soon as it is computed.
    """
    kept = defaultdict(list)
    for t, x_t in enumerate(x):

        def keep(name, value, t=t):
            if nudge is not None and nudge[:2] == (name, t):
                value = value + nudge[2]
            kept[name].append(value)
            return value

        state = step(p, x_t, state, keep, **options)
    return {name: np.stack(values) for name, values in kept.items()}


def split(p, gates):
    """Input matrix, recurrent matrix and bias of each gate, from parameters whose rows are stacked by gate."""
    whole = [p["weight_ih"], p.get("weight_hh", p["weight_ih"][:, :0]), p["bias"]]
    return list(zip(*(np.split(one, gates) for one in whole), strict=True))


def lstm_1997(p, x, state, keep):
    # Hochreiter, Schmidhuber 1997, with tanh for both squashing functions.
    h, c = state
    (wi, ui, bi), (wg, ug, bg), (wo, uo, bo) = split(p, 3)
    i = keep("input", sigmoid(x @ wi.T + h @ ui.T + bi))
    g = keep("candidate", np.tanh(x @ wg.T + h @ ug.T + bg))
    o = keep("output", sigmoid(x @ wo.T + h @ uo.T + bo))
    c = keep("c", c + i * g)
    return keep("h", o * np.tanh(c)), c


def lstm_peephole(p, x, state, keep, forget_bias):
    # Gers, Schmidhuber 2000.
    h, c = state
    (wi, ui, bi), (wf, uf, bf), (wg, ug, bg), (wo, uo, bo) = split(p, 4)
    pi, pf, po = p["peephole"]
    i = keep("input", sigmoid(x @ wi.T + h @ ui.T + pi * c + bi))
    f = keep("forget", sigmoid(x @ wf.T + h @ uf.T + pf * c + bf))
    g = keep("candidate", np.tanh(x @ wg.T + h @ ug.T + bg))
    c = keep("c", f * c + i * g)
    o = keep("output", sigmoid(x @ wo.T + h @ uo.T + po * c + bo))
    return keep("h", o * np.tanh(c)), c


def lstm_coupled(p, x, state, keep, forget_bias):
    # Greff et al. 2015, CIFG: i = 1 - f.
    h, c = state
    (wf, uf, bf), (wg, ug, bg), (wo, uo, bo) = split(p, 3)
    f = keep("forget", sigmoid(x @ wf.T + h @ uf.T + bf))
    i = 1 - f
    g = keep("candidate", np.tanh(x @ wg.T + h @ ug.T + bg))
    o = keep("output", sigmoid(x @ wo.T + h @ uo.T + bo))
    c = keep("c", f * c + i * g)
    return keep("h", o * np.tanh(c)), c


def layer_norm(p, a, name, rows=slice(None)):
    """The equation of LN(a), with the gains and shifts of this name."""
    a = (a - a.mean(1, keepdims=True)) / np.sqrt(a.var(1, keepdims=True) + 1e-5)
    return p[f"gain_{name}"][rows] * a + p[f"shift_{name}"][rows]


def lstm_layernorm(p, x, state, keep, forget_bias):
    # Ba, Kiros, Hinton 2016, eq. 20 to 22. ryankiros/layer-norm, layers.py, d415153f, which adds b to W x_t as well.
    h, c = state
    a = layer_norm(p, h @ p["weight_hh"].T, "h") + layer_norm(p, x @ p["weight_ih"].T, "x") + p["bias"]
    i, f, g, o = np.split(a, 4, axis=1)
    i, f, g, o = keep("input", sigmoid(i)), keep("forget", sigmoid(f)), keep("candidate", np.tanh(g)), sigmoid(o)
    c = keep("c", f * c + i * g)
    return keep("h", keep("output", o) * np.tanh(layer_norm(p, c, "c"))), c


def gru_layernorm(p, x, state, keep, forget_bias):
    # The same paper and file, which adds biases to W x_t and whose z keeps the state.
    (h,) = state
    gates, n = slice(2 * h.shape[1]), slice(2 * h.shape[1], None)
    a_h, a_x = h @ p["weight_hh"].T, x @ p["weight_ih"].T
    a = layer_norm(p, a_h[:, gates], "h", gates) + layer_norm(p, a_x[:, gates], "x", gates)
    r, z = np.split(sigmoid(a), 2, axis=1)
    candidate = layer_norm(p, a_x[:, n], "x", n) + keep("reset", r) * layer_norm(p, a_h[:, n], "h", n)
    return (keep("h", (1 - z) * keep("candidate", np.tanh(candidate)) + keep("update", z) * h),)


def mgu(p, x, state, keep):
    # Zhou et al. 2016, algorithm 1.
    (h,) = state
    (wf, uf, bf), (wh, uh, bh) = split(p, 2)
    f = keep("forget", sigmoid(x @ wf.T + h @ uf.T + bf))
    tilde = keep("candidate", np.tanh(x @ wh.T + (f * h) @ uh.T + bh))
    return (keep("h", h - f * h + f * tilde),)


def janet(p, x, state, keep, forget_bias, beta):
    # van der Westhuizen, Lasenby 2018. JosvanderWesthuizen/janet, aux_code/rnn_cells.py, fa2f0a50.
    (c,) = state
    (wf, uf, bf), (wc, uc, bc) = split(p, 2)
    s = x @ wf.T + c @ uf.T + bf
    tilde = keep("candidate", np.tanh(x @ wc.T + c @ uc.T + bc))
    added = keep("input", 1 - sigmoid(s - beta))
    return (keep("h", keep("forget", sigmoid(s)) * c + added * tilde),)


def minimal(p, x, state, keep):
    # Chen 2017; Chen, Pennington, Schoenholz 2018.
    (h,) = state
    z = np.tanh(x @ p["embedding.weight"].T + p["embedding.bias"])
    u = keep("update", sigmoid(h @ p["weight_hh"].T + z @ p["weight_ih"].T + p["bias"]))
    return (keep("h", u * h + (1 - u) * z),)


def indrnn(p, x, state, keep, timesteps):
    # Li et al. 2018. Sunnydreamrain/IndRNN_pytorch, IndRNN_onlyrecurrent.py, 9b9cb4cd.
    (h,) = state
    return (keep("h", np.maximum(0, x @ p["input.weight"].T + p["input.bias"] + p["weight_hh"] * h)),)


def antisymmetric(p, x, state, keep, epsilon, gamma):
    # Chang et al. 2019, eq. 9 (forward Euler with diffusion).
    (h,) = state
    m = p["weight_hh"] - p["weight_hh"].T - gamma * np.eye(h.shape[1])
    return (keep("h", h + epsilon * np.tanh(h @ m.T + x @ p["weight_ih"].T + p["bias"])),)


def cornn(p, x, state, keep, dt, gamma, epsilon):
    # Rusch, Mishra 2021. tk-rusch/coRNN, adding/model.py, afd81744, which damps z_{t-1}.
    y, z = state
    force = np.tanh(y @ p["weight_hh"].T + z @ p["weight_zh"].T + x @ p["weight_ih"].T + p["bias"])
    z = keep("z", z + dt * (force - gamma * y - epsilon * z))
    return keep("h", y + dt * z), z


def lem(p, x, state, keep, dt):
    # Rusch et al. 2022. tk-rusch/LEM, src/adding/network.py, 833da6b3: y reads the new z.
    y, z = state
    (v1, w1, b1), (v2, w2, b2), (vz, wz, bz) = split(p, 3)
    delta = keep("step_z", dt * sigmoid(y @ w1.T + x @ v1.T + b1))
    bar = keep("step_h", dt * sigmoid(y @ w2.T + x @ v2.T + b2))
    z = keep("z", (1 - delta) * z + delta * keep("candidate", np.tanh(y @ wz.T + x @ vz.T + bz)))
    return keep("h", (1 - bar) * y + bar * np.tanh(z @ p["weight_zh"].T + x @ p["weight_iy"].T + p["bias_y"])), z


def fastrnn(p, x, state, keep):
    # Kusupati et al. 2018. microsoft/EdgeML, pytorch/edgeml_pytorch/graph/rnn.py, 01aba90d: alpha weighs the candidate.
    (h,) = state
    alpha, beta = sigmoid(p["alpha"]), sigmoid(p["beta"])
    return (keep("h", alpha * np.tanh(x @ p["weight_ih"].T + h @ p["weight_hh"].T + p["bias"]) + beta * h),)


def fastgrnn(p, x, state, keep):
    # The same file.
    (h,) = state
    zeta, nu = sigmoid(p["zeta"]), sigmoid(p["nu"])
    shared = x @ p["weight_ih"].T + h @ p["weight_hh"].T
    z = keep("update", sigmoid(shared + p["bias"]))
    tilde = keep("candidate", np.tanh(shared + p["bias_update"]))
    return (keep("h", (zeta * (1 - z) + nu) * tilde + z * h),)


def mingru(p, x, state, keep):
    # Feng et al. 2024. lucidrains/minGRU-pytorch, minGRU_pytorch/minGRU.py, 38b26e11 (not the authors').
    (h,) = state
    (wz, _, bz), (wh, _, bh) = split(p, 2)
    z = keep("update", sigmoid(x @ wz.T + bz))
    a = x @ wh.T + bh
    return (keep("h", (1 - z) * h + z * np.where(a >= 0, a + 0.5, sigmoid(a))),)


def minlstm(p, x, state, keep):
    # Feng et al. 2024. lucidrains/minGRU-pytorch, minGRU_pytorch/minLSTM.py, 38b26e11 (not the authors').
    (h,) = state
    (wf, _, bf), (wi, _, bi), (wh, _, bh) = split(p, 3)
    f, i = sigmoid(x @ wf.T + bf), sigmoid(x @ wi.T + bi)
    f, i = keep("forget", f / (f + i)), keep("input", i / (f + i))
    a = x @ wh.T + bh
    return (keep("h", f * h + i * np.where(a >= 0, a + 0.5, sigmoid(a))),)


def scrn(p, x, state, keep, slow, alpha):
    # Mikolov et al. 2014, eq. 3 to 5. facebookarchive/SCRNNs, mfactory.lua, 75582d43, has fast units that read s_{t-1}
    # instead, and no factor 1 - alpha: the paper counts.
    h, s = state
    f = h[:, : len(p["weight_hh"])]
    s = keep("s", (1 - alpha) * x @ p["weight_is"].T + alpha * s)
    f = sigmoid(s @ p["weight_sh"].T + x @ p["weight_ih"].T + f @ p["weight_hh"].T)
    return keep("h", np.concatenate([f, s], axis=1)), s


def unicornn(p, x, state, keep, dt, alpha):
    # Rusch, Mishra 2021. tk-rusch/unicornn, noisy_CIFAR10/network.py, 35b243d9.
    y, z = state
    step = dt * sigmoid(p["c"])
    z = keep("z", z - step * (np.tanh(p["weight_hh"] * y + x @ p["input.weight"].T + p["input.bias"]) + alpha * y))
    return keep("h", y + step * z), z


def slstm(p, x, state, keep):
    # Beck et al. 2024, eq. 8 to 15. NX-AI/xlstm, xlstm/blocks/slstm/src/vanilla/slstm.py, 032a6fb8, scales c and n.
    h, c, n = state
    (wi, ri, bi), (wf, rf, bf), (wz, rz, bz), (wo, ro, bo) = split(p, 4)
    i = keep("input", np.exp(x @ wi.T + h @ ri.T + bi))
    f = keep("forget", sigmoid(x @ wf.T + h @ rf.T + bf))
    z = keep("candidate", np.tanh(x @ wz.T + h @ rz.T + bz))
    o = keep("output", sigmoid(x @ wo.T + h @ ro.T + bo))
    c = keep("c", f * c + i * z)
    n = keep("n", f * n + i)
    return keep("h", o * c / n), c, n


@cache
def legendre_delay(order, theta):
    a = np.array([[(2 * i + 1) * (-1 if i < j else (-1) ** (i - j + 1)) for j in range(order)] for i in range(order)])
    b = np.array([[(2 * i + 1) * (-1) ** i] for i in range(order)])
    system = a / theta, b / theta, np.eye(order), np.zeros((order, 1))
    return scipy.signal.cont2discrete(system, dt=1.0, method="zoh")[:2]


def lmu(p, x, state, keep, order, theta):
    # Voelker et al. 2019, eq. 1 to 6. bjkomer/pytorch-legendre-memory-unit, lmu.py, 4c6c25ae (after the authors' code).
    h, m = state
    a, b = legendre_delay(order, theta)
    u = x @ p["e_x"].T + h @ p["e_h"].T + m @ p["e_m"].T
    m = keep("m", m @ a.T + u @ b.T)
    return keep("h", np.tanh(x @ p["weight_ih"].T + h @ p["weight_hh"].T + m @ p["weight_mh"].T)), m


def lru(p, x, state, keep, r_min, r_max, max_phase):
    # Orvieto et al. 2023, eq. 1 and section 3. NicolasZucchet/minimal-LRU, lru/model.py, bbd71b11.
    _, z = state
    eigenvalues = np.exp(-np.exp(p["nu_log"]) + 1j * np.exp(p["theta_log"]))
    b, c = p["B_re"] + 1j * p["B_im"], p["C_re"] + 1j * p["C_im"]
    z = keep("z", z * eigenvalues + x @ (np.exp(p["gamma_log"])[:, None] * b).T)
    return keep("h", (z @ c.T).real + x @ p["D"].T), z


def orthogonal(p, x, state, keep, map):
    # Lezcano-Casado, Martinez-Rubio 2019. Lezcano/expRNN, orthogonal.py, 830ec836. Cayley: Helfrich et al. 2018.
    (h,) = state
    lower = np.tril(p["recurrent.parametrizations.weight.original"])
    s, one = lower - lower.T, np.eye(len(lower))
    w = scipy.linalg.expm(s) if map == "matrix_exp" else np.linalg.inv(one - s / 2) @ (one + s / 2)
    a = x @ p["input.weight"].T + h @ w.T
    return (keep("h", np.sign(a) * np.maximum(0, np.abs(a) + p["bias"])),)
