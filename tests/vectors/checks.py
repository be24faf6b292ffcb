"""One check for each group of vectors: what the group says, against what our functions give."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from risk_core.analytics import backtests, hawkes, impermanent_loss
from risk_core.interest import normalized_debt


class Unusable(Exception):
    """A group that does not hold what its check needs."""


@dataclass(slots=True)
class Tally:
    """How many values were compared, and which differ."""

    checked: int = 0
    differences: list[str] = field(default_factory=list)

    def equal(self, label: str, ours: float, theirs: float, *, abs_tol: float = 0.0, rel_tol: float = 1e-12) -> None:
        """Count one comparison; `theirs` is the published number."""
        self.checked += 1
        if not abs(ours - theirs) <= max(abs_tol, rel_tol * abs(theirs)):
            self.differences.append(f"{label}: {ours!r}, published {theirs!r}")

    def merge(self, other: Tally) -> None:
        """Add the counts of another tally."""
        self.checked += other.checked
        self.differences += other.differences

    def summary(self) -> str:
        """`N checked, M differences`."""
        return f"{self.checked} checked, {len(self.differences)} differences"


Check = Callable[[Mapping[str, Any], Path, Tally], None]


def _events(group: Mapping[str, Any], end: float, *, second: bool = True) -> hawkes.EventTimes:
    marked = sorted([(t, 0) for t in group["t0"]] + ([(t, 1) for t in group["t1"]] if second else []))
    return hawkes.EventTimes(times=[t for t, _ in marked], kinds=[k for _, k in marked], end=end, n_kinds=2)


def _tick_loss(value: float, end: float, n: int, n_kinds: int = 2) -> float:
    """tick's loss: minus the log-likelihood of our process over that of a Poisson process of rate 1, per event."""
    return (-value - n_kinds * end) / n


def hawkes_vectors(groups: Mapping[str, Any], folder: Path, tally: Tally) -> None:
    """tick's losses, HawkesPyLib's likelihoods and gradients, and the moments of a window."""
    tick = groups["tick"]
    one = tick["exp"]
    beta = np.full((2, 2), float(one["beta"]))
    model = hawkes.Hawkes(mu=np.array(one["mu"], float), alpha=np.array(one["alpha"], float) * beta, beta=beta)
    events = _events(tick, one["T"])
    value = hawkes.log_likelihood(model, events)[0]
    tally.equal("tick exp, log-likelihood", value, one["logL"], rel_tol=1e-13)
    tally.equal("tick exp, loss", _tick_loss(value, one["T"], len(events)), one["tick_loss"], rel_tol=1e-13)
    empty = _events(tick, one["T"], second=False)
    value = hawkes.log_likelihood(model, empty)[0]
    alone = tick["exp_second_node_empty"]
    tally.equal("tick exp, one node empty, log-likelihood", value, alone["logL"], rel_tol=1e-13)
    tally.equal(
        "tick exp, one node empty, loss", _tick_loss(value, one["T"], len(empty)), alone["tick_loss"], rel_tol=1e-13
    )
    several = tick["sumexp"]
    numbers = np.array(several["coeffs"], float)
    decays = np.broadcast_to(np.array(several["decays"], float), (2, 2, 3))
    model = hawkes.Hawkes(mu=numbers[:2], alpha=numbers[2:].reshape(2, 2, 3) * decays, beta=decays)
    events = _events(tick, several["T"])
    value = hawkes.log_likelihood(model, events)[0]
    tally.equal("tick sumexp, log-likelihood", value, several["logL"], rel_tol=1e-13)
    tally.equal("tick sumexp, loss", _tick_loss(value, several["T"], len(events)), several["tick_loss"], rel_tol=1e-13)
    _hawkespylib(groups["hawkespylib"], folder, tally)
    _moments(groups["moments"], tally)


def _hawkespylib(group: Mapping[str, Any], folder: Path, tally: Tally) -> None:
    times = np.loadtxt(folder / "hawkes_timestamps.csv")
    events = hawkes.EventTimes(times=times, kinds=np.zeros(len(times), np.int64), end=50.0, n_kinds=1)
    for name, row in group.items():
        found = re.search(r"\[(?:mu )?([.\d]+),(?:eta )?([.\d]+),(?:theta )?([.\d]+)\]", name)
        if not name.startswith("p=") or not found:
            continue
        mu, eta, theta = (float(number) for number in found.groups())
        model = hawkes.Hawkes(mu=[mu], alpha=[[eta / theta]], beta=[[1 / theta]])
        value, grad = hawkes.log_likelihood(model, events)
        tally.equal(f"HawkesPyLib {name}, nLL", -value, row["nll"], rel_tol=1e-11)
        by_theta = grad.alpha[0, 0, 0] * eta / theta**2 + grad.beta[0, 0, 0] / theta**2
        ours = (-grad.mu[0, 0], -grad.alpha[0, 0, 0] / theta, by_theta)
        exact = row.get("grad")
        for axis, (mine, theirs) in enumerate(zip(ours, exact or row["grad_fd"], strict=True)):
            tally.equal(f"HawkesPyLib {name}, gradient {axis}", mine, theirs, rel_tol=1e-11 if exact else 1e-6)
    best = group["mle (ours, Nelder-Mead, C)"]
    fitted = hawkes.fit(events)
    tally.equal("HawkesPyLib, most likely nLL", -fitted.log_likelihood, best["nll"], rel_tol=1e-9)
    for name, mine in (
        ("mu", fitted.model.mu[0, 0]),
        ("eta", fitted.model.branching[0, 0]),
        ("theta", 1 / fitted.model.beta[0, 0, 0]),
    ):
        tally.equal(f"HawkesPyLib, most likely {name}", mine, best[name], rel_tol=1e-4)


def _moments(group: Mapping[str, Any], tally: Tally) -> None:
    for name, row in group.items():
        found = re.fullmatch(r"mu=([.\d]+),alpha=([.\d]+),beta=([.\d]+)", name)
        if not found:
            continue
        mu, alpha, beta = (float(number) for number in found.groups())
        tally.equal(f"moments {name}, L", hawkes.moments(mu, alpha, beta, 1.0)[0], row["L"])
        for key, value in row.items():
            if key.startswith("var"):
                tally.equal(f"moments {name}, {key}", hawkes.moments(mu, alpha, beta, float(key[3:]))[1], value)


def hawkes_loglik(group: Mapping[str, Any], folder: Path, tally: Tally) -> None:
    """Branching matrix, spectral radius and mean rates of a process in two dimensions."""
    model = hawkes.Hawkes(mu=group["mu"], alpha=group["alpha"], beta=group["beta"])
    tally.equal("spectral radius", model.spectral_radius, group["spectral_radius"])
    for ours, theirs in zip(model.branching.ravel(), np.ravel(group["branching_matrix"]), strict=True):
        tally.equal("branching matrix", ours, theirs)
    for ours, theirs in zip(model.mean_rates, group["stationary_rates"], strict=True):
        tally.equal("mean rates", ours, theirs, abs_tol=5e-9)


def il_v2(group: Mapping[str, Any], folder: Path, tally: Tally) -> None:
    """Impermanent loss of a constant product by price ratio."""
    for ratio, loss in group.items():
        tally.equal(f"ratio {ratio}", float(impermanent_loss.constant_product([float(ratio)])[0]), loss, abs_tol=1e-15)


def il_v3(group: Mapping[str, Any], folder: Path, tally: Tally) -> None:
    """Impermanent loss of a concentrated position, inside its range and outside."""
    for name, loss in group.items():
        found = re.match(r"P=(\d+)", name)
        if found:
            ours = impermanent_loss.concentrated([float(found.group(1))], group["P0"], group["Pa"], group["Pb"])[0]
            tally.equal(name, float(ours), loss, rel_tol=1e-11)


def kupiec_lruc(group: Mapping[str, Any], folder: Path, tally: Tally) -> None:
    """Kupiec's statistic by x, n and p."""
    for name, statistic in group.items():
        x, n, p = (float(part.partition("=")[2]) for part in name.split(","))
        tally.equal(name, backtests.kupiec(int(x), int(n), 1 - p).statistic, statistic, rel_tol=1e-9)


def basel(group: Mapping[str, Any], folder: Path, tally: Tally) -> None:
    """Cumulative probabilities of the traffic light."""
    hits = np.zeros(group["n"], bool)
    for name, probability in group.items():
        found = re.fullmatch(r"P\(X<=(\d+)\)", name)
        if found:
            some = hits.copy()
            some[: int(found.group(1))] = True
            tally.equal(name, backtests.coverage(some, 1 - group["p"]).cumulative, probability, rel_tol=1e-12)


def var_vectors(group: Mapping[str, Any], folder: Path, tally: Tally) -> None:
    """Kupiec's values and table of acceptance, a published backtest, independence, Basel's zones and multipliers."""
    for x, statistic in group["kupiec_lr_n250_p01"].items():
        tally.equal(f"Kupiec x={x}", backtests.kupiec(int(x), 250, 0.99).statistic, statistic, abs_tol=6e-7)
    for n, row in group["kupiec_nonrejection_95"].items():
        if n.isdigit():
            for p, (least, most) in row.items():
                _acceptance(int(n), float(p), least, most, tally)
    published = group["matlab_normal95"]
    counts = [published[name] for name in ("N00", "N01", "N10", "N11")]
    unconditional = backtests.kupiec(published["x"], published["n"], 0.95).statistic
    independence = backtests.independence_of(*counts).statistic
    tally.equal("varbacktest LR_POF", unconditional, published["LR_POF"], rel_tol=1e-10)
    tally.equal("varbacktest LR_IND", independence, published["LR_IND"], rel_tol=1e-10)
    tally.equal("varbacktest LR_CC", unconditional + independence, published["LR_CC"], abs_tol=6e-6)
    for name, statistic in group["independence"].items():
        numbers = [int(number) for number in re.findall(r"\d+", name.partition("(")[2])]
        counts = [int(n) for n in re.findall(r"N\d\d (\d+)", name)] or numbers
        tally.equal(f"independence {name}", backtests.independence_of(*counts).statistic, statistic, rel_tol=1e-10)
    zones = {"green": range(5), "yellow": range(5, 10), "red": range(10, 12)}
    for x, probability in group["basel"]["cum"].items():
        hits = np.arange(250) < int(x)
        ours = backtests.coverage(hits, 0.99)
        tally.equal(f"Basel cumulative {x}", ours.cumulative, probability, abs_tol=6e-7)
        tally.equal(f"Basel zone {x}", float(int(x) in zones[ours.zone]), 1.0)
    for cells, multiplier in group["basel"]["multiplier_FRTB"].items():
        for x in {int(number) for number in re.findall(r"\d+", cells)}:
            tally.equal(f"Basel multiplier {x}", backtests.multiplier(x), multiplier)


def _acceptance(n: int, p: float, least: int, most: int, tally: Tally) -> None:
    """The numbers of exceptions that Kupiec's test accepts at 95 %. A lower end of 0 is printed as "fewer than": the
    exact statistic of no exception may reject."""
    accepted = [x for x in range(n + 1) if backtests.kupiec(x, n, 1 - p).statistic <= 3.841458820694124]
    tally.equal(f"Kupiec table n={n} p={p}, most", max(accepted), most)
    if least:
        tally.equal(f"Kupiec table n={n} p={p}, least", min(accepted), least)


def compounded_interest(group: Mapping[str, Any], folder: Path, tally: Tally) -> None:
    """Growth of a debt index over a time."""
    ray = 10**27
    ours = normalized_debt(ray, round(group["rate_apr"] * ray), 0, group["dt"]) / ray
    tally.equal("index multiplier", ours, group["index_multiplier"])


CHECKS: dict[str, Check] = {
    "hawkes_vectors": hawkes_vectors,
    "hawkes_loglik": hawkes_loglik,
    "il_v2": il_v2,
    "il_v3": il_v3,
    "kupiec_LRuc": kupiec_lruc,
    "basel_binomial_cdf": basel,
    "var_vectors": var_vectors,
    "compounded_interest_v36": compounded_interest,
}
