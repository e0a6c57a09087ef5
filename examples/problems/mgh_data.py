"""The tables of data that Moré, Garbow and Hillstrom 1981 print, and that of Toint's chained Rosenbrock function."""

from __future__ import annotations

import numpy as np

BARD = np.array([0.14, 0.18, 0.22, 0.25, 0.29, 0.32, 0.35, 0.39, 0.37, 0.58, 0.73, 0.96, 1.34, 2.10, 4.39])

GAUSSIAN = np.array([0.0009, 0.0044, 0.0175, 0.0540, 0.1295, 0.2420, 0.3521, 0.3989])
"""The first half and the middle; the second half mirrors the first."""

MEYER = np.array(
    [34780, 28610, 23650, 19630, 16370, 13720, 11540, 9744, 8261, 7030, 6005, 5147, 4427, 3820, 3307, 2872],
    dtype=np.float64,
)

KOWALIK_OSBORNE_Y = np.array([0.1957, 0.1947, 0.1735, 0.1600, 0.0844, 0.0627, 0.0456, 0.0342, 0.0323, 0.0235, 0.0246])
KOWALIK_OSBORNE_U = np.array([4, 2, 1, 0.5, 0.25, 0.167, 0.125, 0.1, 0.0833, 0.0714, 0.0625])

_OSBORNE_1 = """
844 908 932 936 925 908 881 850 818 784 751 718 685 658 628 603 580 558 538 522 506 490 478 467 457 448 438 431 424 420
414 411 406
"""
OSBORNE_1 = np.array(_OSBORNE_1.split(), dtype=np.float64) / 1000

_OSBORNE_2 = """
1366 1191 1112 1013 991 885 831 847 786 725 746 679 608 655 616 606 602 626 651 724 649 649 694 644 624 661 612 558 533
495 500 423 395 375 372 391 396 405 428 429 523 562 607 653 672 708 633 668 645 632 591 559 597 625 739 710 729 720 636
581 428 292 162 98 54
"""
OSBORNE_2 = np.array(_OSBORNE_2.split(), dtype=np.float64) / 1000

_TOINT = """
1.25 1.40 2.40 1.40 1.75 1.20 2.25 1.20 1.00 1.10 1.50 1.60 1.25 1.25 1.20 1.20 1.40 0.50 0.50 1.25 1.80 0.75 1.25 1.40
1.60 2.00 1.00 1.60 1.25 2.75 1.25 1.25 1.25 3.00 1.50 2.00 1.25 1.40 1.80 1.50 2.20 1.40 1.50 1.25 2.00 1.50 1.25 1.40
0.60 1.50
"""
TOINT = np.array(_TOINT.split(), dtype=np.float64)
"""The coefficients alpha_1 to alpha_50 of Toint 1978."""
