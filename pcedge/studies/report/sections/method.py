"""The method, with its formulas, and where the paper and the official implementation part."""

from collections.abc import Iterator

from pcedge.evaluation.runs import Settings

from ..render.document import Block, Formula, Heading, Items, paragraph, prose
from ..report_data import Study


def method(study: Study) -> Iterator[Block]:
    """PatchCore as it was run; parts that no run used are left out."""
    settings = [group.settings for group in study.groups]
    yield Heading("Method")
    yield paragraph(
        "An image $x$ is resized (bilinear, antialiased) and normalised; a network that stays as it is "
        "gives, for each layer $l$ of a few, a feature map $phi_l (x)$. A _patch embedding_ joins, at each "
        "position $(h, w)$ of the first layer's grid, the pooled $3 times 3$ neighbourhoods of all layers:"
    )
    yield Formula(
        'p_(h, w) (x) = "concat"_l thick "resize" ( "pool" ( { phi_l (x, a, b) : '
        "abs(a - h) <= 1, thin abs(b - w) <= 1 } ) )_(h, w)"
    )
    yield from _embeddings(settings)
    yield paragraph(
        "The patches of all good images form $cal(M)$. The _memory bank_ $cal(M)_C subset.eq cal(M)$ is "
        "chosen by greedy minimax facility location: the patch farthest from all that were chosen is next, "
        "until the coreset has its size. Distances for the choice are taken in a random projection $psi$ to "
        "128 dimensions; the bank keeps the rows themselves."
    )
    yield Formula(
        "m_(k + 1) = limits(arg max)_(m in cal(M) without cal(M)_k) thick min_(n in cal(M)_k) "
        "norm(psi(m) - psi(n))_2, quad cal(M)_(k + 1) = cal(M)_k union { m_(k + 1) }"
    )
    yield paragraph(
        "A patch's score is its squared distance to the nearest row of the bank, and the image's score is "
        "that of its worst patch, before any smoothing:"
    )
    yield Formula(
        "d_(h, w) = min_(m in cal(M)_C) norm(p_(h, w) (x) - m)_2^2, quad s(x) = max_(h, w) thick d_(h, w)"
    )
    if any(setting.neighbours > 1 for setting in settings):
        yield from _reweighting()
    yield paragraph(
        "The _anomaly map_ is the grid of patch scores, brought to the size of the network's input "
        "(bilinear) and smoothed by a Gaussian $G_sigma$ with $sigma = 4$ pixels:"
    )
    yield Formula('A(x) = G_(sigma = 4) * "resize" ( (d_(h, w))_(h, w) )')
    if any(subject.run.threshold for subject in study.subjects):
        yield from _threshold()
    yield from _differences()


def _embeddings(settings: list[Settings]) -> Iterator[Block]:
    kinds = {setting.embedding for setting in settings}
    if "reference" in kinds:
        yield paragraph(
            "In the _reference_ embedding, adaptive averaging brings the values of each neighbourhood, and "
            "then those of all layers together, to 1024 values, as the official implementation does it. All "
            "these steps are linear; pcedge computes them in closed form."
        )
    if "mean" in kinds:
        yield paragraph(
            "In the _mean_ embedding, pooling is the plain mean of the neighbourhood, channel by channel, "
            "and the layers are concatenated."
        )


def _reweighting() -> Iterator[Block]:
    yield paragraph(
        "These runs use the paper's re-weighting (its equation 7). With $p^*$ the worst patch, $m^*$ its "
        "nearest row and $cal(N)_b (m^*)$ the $b$ rows nearest to $m^*$, an anomaly counts for more where "
        "that row stands alone in the bank. The score is squared, so that it has the unit of all the others:"
    )
    yield Formula(
        "s(x) = [ (1 - exp(norm(p^* - m^*)_2) / (sum_(m in cal(N)_b (m^*)) exp(norm(p^* - m)_2))) "
        "norm(p^* - m^*)_2 ]^2"
    )


def _threshold() -> Iterator[Block]:
    yield paragraph(
        "The _threshold_ comes from good images alone. Each of $n$ good training images is scored against a "
        "bank that has not seen it (folds), which gives held-out scores $s_((1)) <= dots <= s_((n))$. "
        "Rejecting a share $alpha$ of good parts means the conformal quantile"
    )
    yield Formula("tau = s_((k)), quad k = ceil((1 - alpha)(n + 1)), quad alpha >= 1 / (n + 1)")
    yield paragraph(
        "A part is NG where $s(x) > tau$. If good parts to come are like those learned, at most a share "
        "$alpha$ of them is rejected on average; how many defects pass cannot be known from good images."
    )


def _differences() -> Iterator[Block]:
    yield Heading("Where the paper and the official implementation differ", level=2)
    yield Items(
        (
            prose(
                "*Distance.* The paper writes Euclidean distances; the official implementation's index "
                "returns squared ones and takes no root. pcedge follows the implementation. Image AUROC "
                "does not change; smoothing, and with it pixel metrics, does."
            ),
            prose(
                "*Re-weighting.* Equation 7 of the paper is not in the official code, and its setting for "
                "neighbours is without effect. pcedge leaves it out too, unless `--neighbours` asks for it."
            ),
            prose(
                "*Masks.* As in the implementation, a mask goes through the image's own resize and crop, "
                "and only pixels that stay wholly defect count."
            ),
            prose(
                "*Scaling.* The official implementation scales scores over the whole test set before it "
                "reports; pcedge never does, because a camera shows one part at a time. The metrics do not "
                "depend on it."
            ),
            prose(
                "*Start of the coreset.* The implementation first takes the patch with the largest mean "
                "distance to ten random ones, pcedge the one nearest to the mean of all. From there both "
                "choose greedily; pcedge skips comparisons that cannot change the choice, and approximates "
                "nothing."
            ),
        )
    )
