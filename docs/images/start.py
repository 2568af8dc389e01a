"""Make the picture of the page on the first map: `python docs/images/start.py`."""

import os
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import load_wine

PICTURE = Path(__file__).with_suffix(".png")


def write_wines(path):
    wines = load_wine(as_frame=True).frame
    names = pd.Series(["Barolo", "Grignolino", "Barbera"])
    wines["cultivar"] = names[wines.pop("target")].to_numpy()
    wines.loc[np.random.default_rng(0).random(len(wines)) < 0.2, "proline"] = np.nan
    wines.to_csv(path, index=False)


def main():
    # The lines of the page.
    import matplotlib.pyplot as plt
    import pandas as pd

    from skvae import LatentDisplay, VAETransformer

    table = pd.read_csv("wines.csv")
    rows, color = table.drop(columns="cultivar"), table["cultivar"]
    vae = VAETransformer(random_state=0).fit(rows)
    LatentDisplay.from_estimator(vae, rows, color)
    plt.savefig("map.png")
    # End of the lines.


if __name__ == "__main__":
    folder = tempfile.mkdtemp()
    os.chdir(folder)
    write_wines("wines.csv")
    main()
    PICTURE.write_bytes(Path("map.png").read_bytes())
