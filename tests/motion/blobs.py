"""A blob to be moved, and where it went: the golden warps of `../shared` tell where Deforum carries it."""

import torch


def blob_at(x, y, height, width):
    """A Gaussian blob, sigma 6, with its middle on the pixel in column x and row y."""
    j, i = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.exp(-((i - x) ** 2 + (j - y) ** 2) / (2 * 6**2)).expand(3, -1, -1)


def centroid(picture):
    weight = torch.where(picture[0] < 20 / 255, 0, picture[0]).double()
    weight /= weight.sum()
    j, i = torch.meshgrid(*(torch.arange(size) for size in weight.shape), indexing="ij")
    return (weight * i).sum().item(), (weight * j).sum().item()
