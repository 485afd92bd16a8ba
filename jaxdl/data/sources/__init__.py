"""Where data sets come from: IDX folders, tensorflow-datasets, and what packages carry."""
