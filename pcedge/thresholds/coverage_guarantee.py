"""The guarantee on a threshold's false-reject rate, with its proof and its limits.

**One bank that saw none of the images** (split conformal): a new good part is called NG with a probability of
at most the rate asked for, for any distribution of scores, if new good parts are exchangeable with these
images.

**K folds** (cross-conformal, Vovk 2015): image i of fold k was scored against a bank made without fold k.
With s_k(x) what a new part x scores against that bank, each fold gives a p-value of its own, p_k(x) = (1 +
the fold's images that scored s_k(x) or more) / (n_k + 1). Their mean, weighted by n_k + 1, is compared with a
rate a: (1 + all images that scored so) / (n + 1) <= a just where that mean is at most (a (n + 1) + K - 1) /
(n + K). And a weighted mean of p-values, however they depend on each other, is e or less with a probability
of at most 2 e: the convex function max(0, 2 - p / e) is at least 1 where p <= e, and its mean over a p-value
is at most 2 e (Rüschendorf 1982; Vovk and Wang 2020). So x is rejected with a probability of at most

    2 (a (n + 1) + K - 1) / (n + K)  =  2 a + 2 (1 - a) (K - 1) / (n + K),

known for equal folds from Barber, Candès, Ramdas and Tibshirani (2021) and Gasparin and Ramdas (2025). In
practice the rate is about a: the factor 2 is the price of not knowing how the folds' p-values depend on each
other. With groups, n and n_k count groups, and those of a group share its weight.

The bound speaks of the folds' banks; what runs is the bank of all images. It holds there too where that bank
gives no part a higher score than the folds' banks do. With all patches kept (a coreset of 100 %) that is
certain, since it contains them. With a coreset it is usual, since the bank covers more images, but not
proven: a small coreset may have a gap that all parts fall into. So each held-out image is also scored by the
bank itself, and the larger score counts: such a gap shows there too, and the thresholds rise with it.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Guarantee:
    """The guarantee on thresholds, given how images were held out.

    Attributes:
        units: Number of held-out images, or groups.
        grouped: Whether ``units`` counts groups.
        folds: Number of folds; 1 for one bank that saw none of the images.
        whole: Whether the bank keeps all patches, so that it contains the folds' banks.
    """

    units: int
    grouped: bool
    folds: int
    whole: bool = False

    def proven_rate(self, rate: float) -> float:
        """The largest share of new good parts that can be NG, on average over calibrations."""
        if self.folds == 1:
            return rate
        bound = 2.0 * (rate * (self.units + 1) + self.folds - 1) / (self.units + self.folds)
        return min(1.0, bound)

    def in_words(self, rate: float) -> str:
        """The guarantee for a rate and its conditions, as text."""
        parts = "good parts of a new group" if self.grouped else "new good parts"
        alike = f"the {self.units} {'groups' if self.grouped else 'images'} held out"
        proven = f"proven: at most {self.proven_rate(rate):.2%} of {parts} are NG, averaged over calibrations"
        condition = f"if {'groups' if self.grouped else 'parts'} come about as {alike} did"
        if self.folds == 1:
            return f"{proven}, {condition} (split conformal)."
        if self.whole:
            return f"{proven}, {condition} (cross-conformal, {self.folds} folds); expected: about {rate:.2%}."
        return (
            f"expected: about {rate:.2%}; {proven}, {condition} and the bank scores no part higher than the "
            f"banks of the {self.folds} folds do (cross-conformal)."
        )
