"""Walks down a function, one method after the other: directions, and the lengths of steps without a search.

Here to be read beside the papers, and to be compared with: the twin of kernels/descent.pyx, equal bit for bit. What the
methods have in common is in walks.py, sums are in vectors.py. Tested in tests/test_descent.py.
"""

import math

import numpy as np

from .many import descend_many
from .searches import quotient
from .vectors import dot, largest
from .walks import (
    BETAS,
    CAREFULLY,
    CONVERGED,
    DECREASE,
    EVALUATIONS,
    FIXED,
    GRADIENT,
    ITERATIONS,
    LONGEST,
    METHODS,
    NOISE,
    NONFINITE,
    PAUSED,
    PROJECTION,
    RECENT,
    RUNNING,
    SHORTEST,
    STALLED,
    STEP,
    TARGET,
    VALUE,
    VARIANTS,
    WINDOW,
    Options,
    Walk,
)

__all__ = [
    "BETAS", "CAREFULLY", "CONVERGED", "DECREASE", "EVALUATIONS", "FIXED", "GRADIENT", "ITERATIONS", "LONGEST",
    "METHODS", "NOISE", "NONFINITE", "PAUSED", "PROJECTION", "RUNNING", "SHORTEST", "STALLED", "STEP", "TARGET",
    "VALUE", "VARIANTS", "WINDOW", "Descent", "Options", "descend_many",
]


class Descent(Walk):
    """A walk by one of `METHODS`: each makes one step, and tells whether it could; parameters as for `Walk`."""

    def _step_gd(self):
        self.d[:] = -self.g
        if self.options.search == FIXED:
            return (yield from self._fixed(self.rate))
        slope = -dot(self.g, self.g)
        step = self._first_step() if self.slope == 0 else quotient(self.step * self.slope, slope)
        if not (yield from self._search(slope, step)):
            return False
        self.slope = slope
        self._accept()
        return True

    def _fixed(self, step):
        """A step without a search."""
        self._move(self.x, step, self.d)
        yield from self._ask(VALUE | GRADIENT)
        if self.status != RUNNING:
            return False
        if not (math.isfinite(self.trial_f) and np.isfinite(self.trial_g).all()):
            self.status = NONFINITE
            return False
        self.step = step
        self._accept()
        return True

    def _step_adgd(self):
        """Malitsky and Mishchenko's steps, as long as the gradient lets one guess."""
        if self.length == 0:
            self.length = self._first_step() if self.rate > 0 else 1e-6 * self._first_step()
        self.d[:] = -self.g
        length, x, g = self.length, self.x.copy(), self.g.copy()
        if not (yield from self._fixed(length)):
            return False
        s, y = self.x - x, self.g - g
        curved, moved = math.sqrt(dot(y, y)), math.sqrt(dot(s, s))
        grown = math.sqrt(1.0 + self.theta) * length
        self.length = min(grown, quotient(0.5 * moved, curved)) if curved > 0 else grown
        if not math.isfinite(self.length):
            self.length = length
        self.theta = quotient(self.length, length)
        return True

    def _step_bb(self):
        """Barzilai and Borwein's steps, held against the last few values of f."""
        if self.length == 0:
            self.length = self._first_step()
        self.d[:] = -self.length * self.g
        slope = -self.length * dot(self.g, self.g)
        if not (yield from self._search(slope, 1.0)):
            return False
        self.length = self._spectral(*self._accept())
        return True

    def _spectral(self, s, y):
        """The next step of Barzilai and Borwein."""
        options = self.options
        ss, sy, yy = dot(s, s), dot(s, y), dot(y, y)
        if not (sy > 0 and math.isfinite(ss) and math.isfinite(yy)):
            return LONGEST if options.method == "spg" else quotient(max(1.0, largest(self.x)), largest(self.g))
        long, short = quotient(ss, sy), quotient(sy, yy)
        if options.method == "spg" or options.variant == "bb1":
            wanted = long
        elif options.variant == "bb2":
            wanted = short
        elif options.variant == "alternate":
            wanted = long if self.nit % 2 else short
        else:
            self.recent = [*self.recent, short][-RECENT:]
            if short < self.share * long:
                wanted = min(self.recent)
                self.share *= 0.9
            else:
                wanted = long
                self.share = min(1.1 * self.share, 1.0)
        return min(max(wanted, SHORTEST), LONGEST)

    def _step_spg(self):
        """A spectral step, projected; then a search towards where it leads."""
        if self.length == 0 or self.options.projects:
            self._move(self.x, 1.0, -self.g)
            if self.options.projects:
                yield PROJECTION
            left = largest(self.trial - self.x)     # what the projection leaves of the gradient
            if self.options.projects and left <= self.options.tol:
                self.status = CONVERGED
                return False
            if self.length == 0:
                self.length = min(max(1.0 / max(left, SHORTEST), SHORTEST), LONGEST)
        self._move(self.x, self.length, -self.g)
        if self.options.projects:
            yield PROJECTION
        self.d[:] = self.trial - self.x
        slope = dot(self.g, self.d)
        if not (yield from self._search(slope, 1.0, 1.0)):
            return False
        self.length = self._spectral(*self._accept())
        return True

    def _step_cg(self):
        """Conjugate gradients: Hager and Zhang's, Polak and Ribiere's, Dai and Kou's."""
        if self.slope == 0:
            self.d[:] = -self.g
            slope = -dot(self.g, self.g)
            step = self._first_step()
        else:
            slope = dot(self.g, self.d)
            step = quotient(self.step * self.slope, slope)
            if not (slope < 0 and step > 0 and math.isfinite(step)):
                self.d[:] = -self.g
                slope = -dot(self.g, self.g)
                step = self._first_step()
        before = self.g.copy()
        if not (yield from self._search(slope, step)):
            return False
        self.slope = slope
        _, y = self._accept()
        self._conjugate(y, before)
        return True

    def _conjugate(self, y, before):
        """The next direction, from the last one and the change of the gradient."""
        beta_rule = self.options.beta
        d, g = self.d, self.g
        dy, yg, dg = dot(d, y), dot(y, g), dot(d, g)
        if beta_rule == "pr+":
            beta = max(0.0, quotient(yg, dot(before, before)))
            if not -dot(g, g) + beta * dg <= -0.01 * dot(g, g):
                beta = 0.0
        elif not dy > 0:
            beta = 0.0
        else:
            yy, dd = dot(y, y), dot(d, d)
            if beta_rule == "dai-kou":
                beta = max(quotient(yg - quotient(yy * dg, dy), dy), quotient(0.5 * dg, dd))
            else:
                beta = max(quotient(yg - quotient(2.0 * yy * dg, dy), dy), quotient(0.4 * dot(d, before), dd))
        d[:] = beta * d - g

    def _step_bfgs(self):
        """Broyden, Fletcher, Goldfarb and Shanno's approximation to the inverse of the Hessian.

        ``H <- H + s p' + p s'`` with p from s and H y; `u` is H g. One pass over H a step: what changes it waits until
        H is next multiplied with a gradient, from which H y and the next u follow.
        """
        if self.pairs == 0:
            self.u[:] = self.g
            step = self._first_step()
        else:
            step = 1.0
        np.negative(self.u, out=self.d)
        slope = dot(self.g, self.d)
        if not (yield from self._search(slope, step)):
            return False
        s, y = self._accept()
        sy, yy = dot(s, y), dot(y, y)
        good = sy > 2.0**-52 * yy and math.isfinite(yy)
        if self.pairs == 0:
            if not good:
                return True
            self.H[:] = 0.0
            self.H[np.diag_indices(self.n)] = sy / yy
            self.waiting = False
            self.u *= sy / yy
        v = np.empty(self.n)
        for i, row in enumerate(self.H):
            if self.waiting:
                row += self.S[0, i] * self.Y[0] + self.Y[0, i] * self.S[0]
            v[i] = dot(row, self.g)
        self.waiting, self.pairs = good, 1
        if good:
            hy = v - self.u
            half = 0.5 * ((1.0 + dot(y, hy) / sy) / sy)
            p = half * s - hy / sy
            self.u[:] = v + (dot(p, self.g) * s + dot(s, self.g) * p)
            self.S[0], self.Y[0] = s, p
        else:
            self.u[:] = v
        return True

    def _step_lbfgs(self):
        """The same with the last few pairs alone: Liu and Nocedal's two loops; inside bounds, on the free ones."""
        if self.bounded:
            return (yield from self._step_box())
        step = self._first_step() if self.pairs == 0 else 1.0
        self._two_loops()
        slope = dot(self.g, self.d)
        if not (yield from self._search(slope, step)):
            return False
        self._keep(*self._accept())
        return True

    def _two_loops(self, held=None):
        """Put ``-H g`` into d; entries that are held stay where they are."""
        q = self.d
        q[:] = self.g
        if held is not None:
            q[held] = 0.0
        m = len(self.rho)
        order = [(self.newest - i) % m for i in range(self.pairs)]
        a = {}
        for i in order:
            a[i] = self.rho[i] * dot(self.S[i], q)
            q -= a[i] * self.Y[i]
            if held is not None:
                q[held] = 0.0
        if self.pairs:
            q *= self.curvature
        for i in reversed(order):
            b = self.rho[i] * dot(self.Y[i], q)
            q += (a[i] - b) * self.S[i]
            if held is not None:
                q[held] = 0.0
        np.negative(q, out=q)

    def _keep(self, s, y):
        """Remember a pair whose curvature is positive."""
        sy, yy = dot(s, y), dot(y, y)
        if not (sy > 2.0**-52 * yy and math.isfinite(yy)):
            return
        m = len(self.rho)
        self.newest = (self.newest + 1) % m if self.pairs else 0
        self.pairs = min(self.pairs + 1, m)
        self.S[self.newest], self.Y[self.newest], self.rho[self.newest] = s, y, quotient(1.0, sy)
        self.curvature = quotient(sy, yy)

    def _step_box(self):
        """Bertsekas's two-metric projection: quasi-Newton on the free entries, then back along the projected path."""
        held = ((self.x <= self.lower) & (self.g > 0)) | ((self.x >= self.upper) & (self.g < 0))
        step = self._first_step() if self.pairs == 0 else 1.0
        self._two_loops(held)
        if not dot(self.g, self.d) < 0:
            self.pairs = 0
            self._two_loops(held)
            step = self._first_step()
        if not (yield from self._path(step)):
            return False
        self._keep(*self._accept())
        return True

    def _path(self, step):
        """Shorten the step along the projected path until f decreases enough, or the slope says that it does."""
        error = self._error()
        for _ in range(40):
            self._move(self.x, step, self.d)
            s = self.trial - self.x
            slope = dot(self.g, s)
            if not slope < 0:
                return False
            yield from self._ask(VALUE | GRADIENT)
            if self.status != RUNNING:
                return False
            f = self.trial_f
            if math.isfinite(f) and np.isfinite(self.trial_g).all():
                enough = f <= self.f + 1e-4 * slope
                if enough or (f <= self.f + error and dot(self.trial_g, s) <= -0.8 * slope):
                    self.step = step
                    return True
                rise = f - self.f - slope
                step *= min(max(quotient(-slope, 2.0 * rise), 0.1), 0.5)
            else:
                step *= 0.1
        return False

    def _step_nesterov(self):
        """Accelerated gradient with a step that is learnt, started again when the momentum points up."""
        if self.length == 0:
            self.length = self._first_step()
            self.previous[:] = self.x
        grown = 0.5 * (1.0 + math.sqrt(1.0 + 4.0 * self.momentum * self.momentum))
        ahead = (self.momentum - 1.0) / grown
        y, fy, gy = self.x, self.f, self.g
        if ahead > 0:
            self.d[:] = self.x - self.previous
            self._move(self.x, ahead, self.d)
            yield from self._ask(VALUE | GRADIENT)
            if self.status != RUNNING:
                return False
            if math.isfinite(self.trial_f) and np.isfinite(self.trial_g).all():
                y, fy, gy = self.trial.copy(), self.trial_f, self.trial_g.copy()
        gg = dot(gy, gy)
        self.d[:] = -gy
        for _ in range(60):
            self._move(y, self.length, self.d)
            yield from self._ask(VALUE)
            if self.status != RUNNING:
                return False
            if self.trial_f <= fy - 0.5 * self.length * gg + self._rounding(fy):
                break
            self.length *= 0.5
        else:
            return False
        yield from self._ask(GRADIENT)
        if self.status != RUNNING:
            return False
        if not np.isfinite(self.trial_g).all():
            self.status = NONFINITE
            return False
        self.previous[:] = self.x
        uphill = dot(gy, self.trial - self.x) > 0 or self.trial_f > self.f
        self.step = self.length
        self._accept()
        self.momentum = 1.0 if uphill else grown
        self.length *= 1.1
        return True
