"""A file of boards of one's own, as tests write it."""

from __future__ import annotations

BOARD = """
[[board]]
name = "mine"
title = "A board of my own"
core = "Cortex-M7, 400 MHz"
kernels = "cmsis-nn"
ram = { fast = "64K", slow = "0.25M" }
flash = { internal = "512K" }
source = "its data sheet"
"""
