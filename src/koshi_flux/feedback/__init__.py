"""Keeping a picture from drifting between two frames."""

from koshi_flux.feedback.config import FeedbackConfig, FeedbackProcessor
from koshi_flux.feedback.processor import MATCHES, correct

__all__ = ["MATCHES", "FeedbackConfig", "FeedbackProcessor", "correct"]
