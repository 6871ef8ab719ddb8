"""Performance profiles: how large a share of problems a solver solves within so many times the best one's effort.

Here because a mean hides whether a solver is slower everywhere or fails somewhere; a profile shows both. Method: E. D.
Dolan, J. J. More, Math. Program. 91 (2002) 201-213. Tested in tests/test_bench_descent.py; matplotlib is imported only
when something is drawn.
"""

from pathlib import Path

import numpy as np

LARGEST = 32.0      # ratio, at the right edge


def profile(efforts):
    """Ratios of every solver's efforts to the best of each problem.

    Parameters
    ----------
    efforts : dict of str to list
        For each solver what each problem took; None where it was not solved. Problems that nobody solved are left out.

    Returns
    -------
    dict of str to array
        For each solver the ratios, ascending; inf for the unsolved.
    """
    table = np.array([[np.inf if effort is None else effort for effort in row] for row in efforts.values()], float)
    best = table.min(axis=0)
    table = table[:, np.isfinite(best)] / best[np.isfinite(best)]
    return dict(zip(efforts, np.sort(table, axis=1), strict=True))


def share_within(ratios, factor):
    """How large a share of the problems takes at most `factor` times the best effort."""
    return float(np.mean(ratios <= factor))


def draw(panels, path, what="evaluations"):
    """Write a picture of some profiles.

    Parameters
    ----------
    panels : dict of str to dict
        For each title the `efforts` of `profile`; how many problems there are is added.
    path : path
        Of the PNG.
    what : str, optional
        Of what the efforts are numbers.
    """
    import matplotlib
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4 * len(panels), 5.2), layout="constrained")
    colors = matplotlib.colormaps["tab10"].colors
    for axes, (title, efforts) in zip(figure.subplots(1, len(panels), sharey=True, squeeze=False)[0], panels.items(),
                                      strict=True):
        found = profile(efforts)
        problems = len(next(iter(found.values())))
        for k, (name, ratios) in enumerate(found.items()):
            heights = np.arange(problems + 1) / problems
            within = np.concatenate([[1.0], ratios[ratios <= LARGEST], [LARGEST]])
            heights = np.append(heights[: within.size - 1], heights[within.size - 2])
            own = name.startswith("steepest")
            axes.step(within, heights, where="post", label=name, color=colors[k % len(colors)],
                      linestyle="-" if own else "--", linewidth=2.2 if own else 1.5)
        axes.set(title=f"{title}, {problems} problems", xlabel=f"{what}, times the best", xscale="log",
                 xlim=(1, LARGEST), ylim=(0, 1.01))
        axes.set_xticks(2.0 ** np.arange(int(np.log2(LARGEST)) + 1))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("share of problems solved")
    figure.axes[-1].legend(loc="lower right", fontsize="small")
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
