"""Faces turned, scaled and moved to a standard position, as recognition networks expect them."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ffcore.errors import ConfigError, InputError

ARCFACE_TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]],
    np.float64,
)
"""(5, 2): where landmarks lie in a 112 × 112 face, by the reference code of Deng et al., "ArcFace", 2019."""
ARCFACE_TEMPLATE.flags.writeable = False

_TEMPLATE_SIZE = 112


def similarity_transform(source: ArrayLike, target: ArrayLike) -> NDArray[np.float64]:
    """The rotation, scale and shift that brings points nearest to others, in the least-squares sense.

    Args:
        source: (N, 2) points, N ≥ 2.
        target: (N, 2) points.

    Returns:
        (2, 3) float64 matrix M with ``target ≈ source @ M[:, :2].T + M[:, 2]``; never a reflection.

    Raises:
        InputError: The points determine no such map: all of one side are equal, or they are not finite.

    Source: S. Umeyama, "Least-squares estimation of transformation parameters between two point
    patterns", PAMI 1991. In the plane a rotation with scale is a complex factor, and his solution
    under det R = +1 becomes a quotient of two sums; no singular value decomposition is needed.
    """
    start, goal = (np.asarray(points, np.float64) for points in (source, target))
    if start.shape != goal.shape or start.ndim != 2 or start.shape[1] != 2 or len(start) < 2:
        raise ConfigError(
            f"points to be matched are two arrays (N, 2), N >= 2; got {start.shape} and {goal.shape}"
        )
    if not (np.isfinite(start).all() and np.isfinite(goal).all()):
        raise InputError("points to be matched hold a value that is not finite")
    start_mean, goal_mean = start.mean(axis=0), goal.mean(axis=0)
    z = (start - start_mean) @ np.array([1, 1j])
    w = (goal - goal_mean) @ np.array([1, 1j])
    spread = float(np.sum(np.abs(z) ** 2))
    wanted = float(np.sum(np.abs(w) ** 2))
    product = complex(np.sum(z.conj() * w))
    # Equal points, or points whose best map shrinks everything to one point (a perfect mirror image).
    noise = 1e-12 * float(np.sum(start_mean**2) + np.sum(goal_mean**2))
    if spread <= noise or wanted <= noise or abs(product) < 1e-6 * math.sqrt(spread * wanted):
        raise InputError("the landmarks lie on one spot or mirror each other; such a face cannot be aligned")
    factor = product / spread
    turn = np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])
    return np.column_stack([turn, goal_mean - turn @ start_mean])


def align_face(image: NDArray[np.uint8], landmarks: ArrayLike, *, size: int = 112) -> NDArray[np.uint8]:
    """Cut out one face with its eyes, nose and mouth where face recognition expects them.

    Args:
        image: (H, W, 3) uint8, BGR.
        landmarks: (5, 2), pixels, in the order of `ffcore.faces.LANDMARK_NAMES`.
        size: Side of the result in pixels; the template is for 112 and scaled for others.

    Returns:
        (size, size, 3) uint8, BGR; black where the image ends.

    Raises:
        InputError: The landmarks determine no position (all on one spot).
        ConfigError: `landmarks` is not (5, 2), or `size` is below 1.
    """
    points = np.asarray(landmarks, np.float64)
    if points.shape != (5, 2):
        raise ConfigError(f"aligning a face needs landmarks of shape (5, 2), got {points.shape}")
    if size < 1:
        raise ConfigError(f"the size of an aligned face is {size}, but at least 1 is needed")
    matrix = similarity_transform(points, ARCFACE_TEMPLATE * (size / _TEMPLATE_SIZE))
    image, matrix = _prepared(image, matrix, size)
    return np.asarray(cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR), np.uint8)


def _prepared(
    image: NDArray[np.uint8], matrix: NDArray[np.float64], size: int
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """The part of the image that matters, shrunk first where linear interpolation would skip pixels."""
    scale = math.hypot(matrix[0, 0], matrix[1, 0])
    if scale >= 0.5:
        return image, matrix
    corners = np.array([[0, 0], [size, 0], [size, size], [0, size]]) - matrix[:, 2]
    corners = corners @ np.linalg.inv(matrix[:, :2]).T
    border = 2 / scale
    x1, y1 = np.maximum(0, np.floor(corners.min(axis=0) - border)).astype(int)
    x2, y2 = np.minimum(image.shape[1::-1], np.ceil(corners.max(axis=0) + border)).astype(int)
    if x1 >= x2 or y1 >= y2:  # the landmarks lie far outside
        return image, matrix
    part = image[y1:y2, x1:x2]
    width, height = max(1, round((x2 - x1) * scale)), max(1, round((y2 - y1) * scale))
    small = cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA)
    # From pixels of the small part to pixels of the image: centres of pixels are at whole numbers here.
    factor = np.array([(x2 - x1) / width, (y2 - y1) / height])
    back = np.array([x1, y1]) + 0.5 * factor - 0.5
    shrunk = matrix.copy()
    shrunk[:, :2] = matrix[:, :2] * factor
    shrunk[:, 2] = matrix[:, :2] @ back + matrix[:, 2]
    return np.asarray(small, np.uint8), shrunk
