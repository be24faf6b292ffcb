"""Loops over the events of a Hawkes process: likelihood with its gradient, residuals, thinning. All are O(n D^2 U).

Kernels are sums of exponentials, phi_ij(t) = sum_u alpha_iju exp(-beta_iju t), j exciting i. What is carried from event
to event is R_iju = sum over earlier j-events of exp(-beta_iju (t - t_m)), which decays by one factor between events
(Ozaki, "Maximum likelihood estimation of Hawkes' self-exciting point processes", Ann. Inst. Statist. Math. 31, 1979).
Events at one time do not excite each other: they enter R when time moves on.
"""

from __future__ import annotations

import numpy as np

from risk_core.kernels._jit import kernel
from risk_core.kernels.randomness import LOW, SHIFT, U53, exp, log, philox


@kernel
def likelihood(times, kinds, end, mu, bin_of, time_in_bin, alpha, beta, r, q, waiting, grad_mu, grad_alpha, grad_beta):
    """Log-likelihood on [0, end], its gradient added to `grad_*`.

    times (n,) rising, kinds (n,) in [0, D), bin_of (n,) in [0, B): the part of the day of each event; mu (D, B),
    time_in_bin (B,), alpha and beta (D, D, U). Scratch, zeroed: r and q (D, D, U), waiting (D,).
    Each gradient has the shape of its parameter. -inf where an intensity is not positive.
    """
    d_n, u_n, b_n = alpha.shape[0], alpha.shape[2], mu.shape[1]
    total = 0.0
    now = 0.0
    for n in range(times.shape[0]):
        dt = times[n] - now
        if dt > 0.0:
            for i in range(d_n):
                for j in range(d_n):
                    came = waiting[j]
                    for u in range(u_n):
                        decay = exp(-min(beta[i, j, u] * dt, 690.0))
                        before = r[i, j, u] + came
                        r[i, j, u] = decay * before
                        q[i, j, u] = decay * (q[i, j, u] + dt * before)
            for j in range(d_n):
                waiting[j] = 0.0
            now = times[n]
        k = kinds[n]
        intensity = mu[k, bin_of[n]]
        for j in range(d_n):
            for u in range(u_n):
                intensity += alpha[k, j, u] * r[k, j, u]
        if not intensity > 0.0:
            return -np.inf
        total += np.log(intensity)
        share = 1.0 / intensity
        grad_mu[k, bin_of[n]] += share
        for j in range(d_n):
            for u in range(u_n):
                grad_alpha[k, j, u] += share * r[k, j, u]
                grad_beta[k, j, u] -= share * alpha[k, j, u] * q[k, j, u]
        waiting[k] += 1.0
    for i in range(d_n):
        for b in range(b_n):
            total -= mu[i, b] * time_in_bin[b]
            grad_mu[i, b] -= time_in_bin[b]
    # What every event adds to the integrated intensities until the end, (1 - exp(-beta (end - t_m))) / beta: over all
    # events of a kind, their number less R at the end.
    dt = end - now
    for j in range(d_n):
        count = 0.0
        for n in range(times.shape[0]):
            count += 1.0 if kinds[n] == j else 0.0
        for i in range(d_n):
            for u in range(u_n):
                rate = beta[i, j, u]
                decay = exp(-min(rate * dt, 690.0))
                before = r[i, j, u] + waiting[j]
                weight = (count - decay * before) / rate
                total -= alpha[i, j, u] * weight
                grad_alpha[i, j, u] -= weight
                grad_beta[i, j, u] += alpha[i, j, u] * (weight - decay * (q[i, j, u] + dt * before)) / rate
    return total


@kernel
def likelihood_of_one(times, end, mu, bin_of, time_in_bin, alpha, beta, grad_mu):
    """`likelihood` of one kind with one exponential: two to three times as fast, since its sums stay in registers.

    mu, time_in_bin and grad_mu (B,), alpha and beta numbers. Returns (log-likelihood, its derivatives in alpha and in
    beta); what `likelihood` gives, rounded otherwise in the last digits.
    """
    total, by_alpha, by_beta = 0.0, 0.0, 0.0
    now, r, q, waiting = 0.0, 0.0, 0.0, 0.0
    for n in range(times.shape[0]):
        dt = times[n] - now
        if dt > 0.0:
            decay = exp(-min(beta * dt, 690.0))
            before = r + waiting
            r = decay * before
            q = decay * (q + dt * before)
            waiting = 0.0
            now = times[n]
        intensity = mu[bin_of[n]] + alpha * r
        if not intensity > 0.0:
            return -np.inf, by_alpha, by_beta
        total += np.log(intensity)
        share = 1.0 / intensity
        grad_mu[bin_of[n]] += share
        by_alpha += share * r
        by_beta -= share * alpha * q
        waiting += 1.0
    for b in range(mu.shape[0]):
        total -= mu[b] * time_in_bin[b]
        grad_mu[b] -= time_in_bin[b]
    dt = end - now
    decay = exp(-min(beta * dt, 690.0))
    before = r + waiting
    weight = (times.shape[0] - decay * before) / beta
    total -= alpha * weight
    by_alpha -= weight
    by_beta += alpha * (weight - decay * (q + dt * before)) / beta
    return total, by_alpha, by_beta


@kernel
def compensators(times, kinds, mu, per_bin, bin_length, alpha, beta, r, waiting, passed, out):
    """Integrated intensity between events: out (n,) = Lambda_k(t_n) - Lambda_k(time of the k-event before, or 0).

    mu (D, B) repeats with the period B x bin_length (per_bin = B); with B = 1 bin_length is not used. Scratch: r
    (D, D, U), waiting (D,), passed (D,), zeroed. Under the right model the entries are independent Exp(1).
    """
    d_n, u_n = alpha.shape[0], alpha.shape[2]
    now = 0.0
    for n in range(times.shape[0]):
        dt = times[n] - now
        if dt > 0.0:
            for i in range(d_n):
                if per_bin == 1:
                    passed[i] += mu[i, 0] * dt
                else:
                    at = now
                    while at < times[n]:
                        whole = np.floor(at / bin_length + 1e-12)
                        until = min((whole + 1.0) * bin_length, times[n])
                        if until <= at:
                            until = times[n]
                        passed[i] += mu[i, np.int64(whole) % per_bin] * (until - at)
                        at = until
                for j in range(d_n):
                    for u in range(u_n):
                        decay = exp(-min(beta[i, j, u] * dt, 690.0))
                        before = r[i, j, u] + waiting[j]
                        passed[i] += alpha[i, j, u] / beta[i, j, u] * before * (1.0 - decay)
                        r[i, j, u] = decay * before
            for j in range(d_n):
                waiting[j] = 0.0
            now = times[n]
        out[n] = passed[kinds[n]]
        passed[kinds[n]] = 0.0
        waiting[kinds[n]] += 1.0


@kernel
def excitation(times, kinds, at, beta, out):
    """R_iju just after the time `at`, (D, D, U) zeroed: every event up to and including `at` counts."""
    for n in range(times.shape[0]):
        left = at - times[n]
        if left >= 0.0:
            j = kinds[n]
            for i in range(beta.shape[0]):
                for u in range(beta.shape[2]):
                    out[i, j, u] += exp(-min(beta[i, j, u] * left, 690.0))


@kernel
def intensities(times, kinds, at, mu, bin_of, alpha, beta, r, waiting, out):
    """Intensity of each kind at rising times `at` (m,), from the events before them: out (m, D).

    bin_of (m,): the part of the period of each time. Scratch, zeroed: r (D, D, U), waiting (D,).
    """
    d_n, u_n = alpha.shape[0], alpha.shape[2]
    now, n = 0.0, 0
    for m in range(at.shape[0]):
        while True:
            event = n < times.shape[0] and times[n] < at[m]
            until = times[n] if event else at[m]
            dt = until - now
            if dt > 0.0:
                for i in range(d_n):
                    for j in range(d_n):
                        for u in range(u_n):
                            r[i, j, u] = exp(-min(beta[i, j, u] * dt, 690.0)) * (r[i, j, u] + waiting[j])
                for j in range(d_n):
                    waiting[j] = 0.0
                now = until
            if not event:
                break
            waiting[kinds[n]] += 1.0
            n += 1
        for i in range(d_n):
            total = mu[i, bin_of[m]]
            for j in range(d_n):
                for u in range(u_n):
                    total += alpha[i, j, u] * r[i, j, u]
            out[m, i] = total


@kernel
def thin(mu, start, per_bin, bin_length, alpha, beta, r, horizon, seed, path, intensity, times, kinds):
    """One path on (start, start + horizon] by Ogata's thinning.

    Returns the number of events, or -1 where `times` is too short for them.

    r (D, D, U): the excitation at `start`, changed in place. Intensities fall between events, but the base may rise at
    the end of a bin, so no candidate is drawn beyond that end. Draws are a pure function of (seed, path). (Ogata, "On
    Lewis' simulation method for point processes", IEEE Trans. Information Theory 27, 1981.)
    """
    d_n, u_n = alpha.shape[0], alpha.shape[2]
    key_0, key_1 = np.uint64(seed) & LOW, np.uint64(seed) >> SHIFT
    path_0, path_1 = np.uint64(path) & LOW, np.uint64(path) >> SHIFT
    now, end, count, draw = start, start + horizon, 0, np.uint64(0)
    while now < end:
        bin_now, border = 0, end
        if per_bin > 1:
            whole = np.floor(now / bin_length + 1e-12)
            bin_now = np.int64(whole) % per_bin
            border = min((whole + 1.0) * bin_length, end)
            if border <= now:
                border = end
        bound = 0.0
        for i in range(d_n):
            bound += mu[i, bin_now]
            for j in range(d_n):
                for u in range(u_n):
                    bound += alpha[i, j, u] * r[i, j, u]
        w0, w1, w2, w3 = philox(draw & LOW, draw >> SHIFT, path_0, path_1, key_0, key_1)
        draw += np.uint64(1)
        first = np.float64(((w0 << SHIFT) | w1) >> np.uint64(11)) * U53
        second = np.float64(((w2 << SHIFT) | w3) >> np.uint64(11)) * U53
        step = -log(1.0 - first) / bound if bound > 0.0 else np.inf
        until = min(now + step, border)
        dt = until - now
        for i in range(d_n):
            for j in range(d_n):
                for u in range(u_n):
                    r[i, j, u] *= exp(-min(beta[i, j, u] * dt, 690.0))
        stopped = now + step > border
        now = until
        if stopped:
            continue
        total = 0.0
        for i in range(d_n):
            rate = mu[i, bin_now]
            for j in range(d_n):
                for u in range(u_n):
                    rate += alpha[i, j, u] * r[i, j, u]
            total += rate
            intensity[i] = total
        mark = second * bound
        if mark >= total:
            continue
        chosen = 0
        while chosen < d_n - 1 and mark >= intensity[chosen]:
            chosen += 1
        if count >= times.shape[0]:
            return -1
        times[count] = now
        kinds[count] = chosen
        count += 1
        for i in range(d_n):
            for u in range(u_n):
                r[i, chosen, u] += 1.0
    return count
