"""Laws of price moves: one module for each law; its loop is in `risk_core.kernels.laws`."""

from risk_core.laws.bootstrap import Bootstrap
from risk_core.laws.garch import FilteredHistory, Garch
from risk_core.laws.gbm import GBM
from risk_core.laws.jumps import Jumps
from risk_core.laws.law import Law
from risk_core.laws.ornstein_uhlenbeck import OrnsteinUhlenbeck
from risk_core.laws.student_t import StudentT

LAWS: dict[str, type[Law]] = {
    law.__name__: law for law in (GBM, StudentT, Jumps, OrnsteinUhlenbeck, Bootstrap, Garch, FilteredHistory)
}
"""Every law by its name, for records."""

__all__ = [
    "GBM",
    "LAWS",
    "Bootstrap",
    "FilteredHistory",
    "Garch",
    "Jumps",
    "Law",
    "OrnsteinUhlenbeck",
    "StudentT",
]
