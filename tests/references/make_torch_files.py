"""Makes checkpoint.pt and checkpoint_without_checksums.pt: what else torch.save writes.

Run by hand where PyTorch is installed (torch 2.13.0 made the stored files):

    python tests/references/make_torch_files.py

A checkpoint of the kind that training programs save: the network's weights under `model`, among
them a bool buffer and an expanded one, beside the optimiser's state and the epoch.
"""

from pathlib import Path

import torch
from torch import nn

HERE = Path(__file__).parent


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 1)
        self.register_buffer("mask", torch.tensor([[True, False], [False, True]]))
        self.register_buffer("expanded", torch.tensor([[1.0], [2.0]]).expand(2, 3))
        self.register_buffer("bf16", torch.tensor([0.5, -3.0], dtype=torch.bfloat16))


def main() -> None:
    network = Network()
    with torch.no_grad():
        network.linear.weight[:] = torch.tensor([[2.0, 3.0]])
        network.linear.bias[:] = 1.0
    optimizer = torch.optim.Adam(network.parameters(), lr=0.0)
    network.linear(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    checkpoint = {
        "epoch": 3,
        "model": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "best": (0.5, None, True),
    }
    torch.save(checkpoint, HERE / "checkpoint.pt")
    torch.serialization.set_crc32_options(False)
    torch.save(checkpoint, HERE / "checkpoint_without_checksums.pt")


if __name__ == "__main__":
    main()
