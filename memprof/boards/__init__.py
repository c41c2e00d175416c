"""Boards by name: their memories as data with sources, and whether a model fits one, by a plan or by a bound."""

from memprof.boards.board import BOARDS, Board, find_board, read_boards
from memprof.boards.fitting import BoardFit, Footprint, arena_on, fit_board, model_footprint, smallest_fit

__all__ = [
    "BOARDS",
    "Board",
    "BoardFit",
    "Footprint",
    "arena_on",
    "find_board",
    "fit_board",
    "model_footprint",
    "read_boards",
    "smallest_fit",
]
