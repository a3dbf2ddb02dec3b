# %% [markdown]
# # From scikit-learn to served
#
# A model is trained with scikit-learn, becomes a network, and is served. Its predictions are the same, and each of them can be looked into.
# The data is scikit-learn's: 569 tumours with 30 measurements each, malignant or benign.

# %%
import subprocess
import sys

import numpy as np
from forwardpass import Client
from forwardpass.importers import import_model
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

command = [sys.executable, "-m", "forwardpass_server", "serve", "--listen", "127.0.0.1:0", "--database", "sqlite://"]
server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
address = server.stdout.readline().split()[-1]
client = Client(address)

# %% [markdown]
# ## Train

# %%
data = load_breast_cancer(as_frame=True)
labels = data.target_names[data.target]
train, test, train_labels, test_labels = train_test_split(data.data, labels, random_state=0)
model = make_pipeline(StandardScaler(), MLPClassifier((8, 4), random_state=0, max_iter=2000)).fit(train, train_labels)
print(f"accuracy on rows that it has not seen: {model.score(test, test_labels):.3f}")

# %% [markdown]
# ## Import
#
# `import_model` reads the pipeline's numbers, the scaling included, and compares the network with the model on rows that it draws. The
# certificate of this comparison stays with the network.

# %%
imported = import_model(model)
print(imported.certificate)

# %%
client.register("tumours", imported.spec)
prediction = client.predict("tumours", test)
theirs = model.predict_proba(test)[:, 1:]
print("largest difference of a probability:", f"{np.abs(prediction.outputs - theirs).max():.0e}")
print("same labels:", list(prediction.labels) == list(model.predict(test)))

# %% [markdown]
# Rows go by name: the columns of the frame may stand in any order, and a missing or a misspelled one is an error.
#
# ## Look inside
#
# The profile is the usual distribution of every node, over the rows that the network was trained on.

# %%
profile = client.profile("tumours", train)
hidden = profile.layers[0]
for name, zeros, median, largest in zip(
    hidden.nodes, hidden.zeros, hidden.quantiles[len(profile.probabilities) // 2], hidden.maxima, strict=True
):
    print(f"{name:10} zero for {zeros:4.0%} of the rows, median {median:.2f}, largest {largest:.2f}")

# %% [markdown]
# A trace of one tumour, compared with it:

# %%
trace = client.trace("tumours", test[:1], percentiles=True)
trace

# %%
trace.unusual()

# %% [markdown]
# Nothing is unusual about it. A slip of the pen is: here the mean radius was typed in micrometres.

# %%
typed = test[:1].assign(**{"mean radius": test["mean radius"][:1] * 1000})
trace = client.trace("tumours", typed, percentiles=True)
for value in trace.unusual()[:5]:
    side = "above" if value.percentile == 100 else "below"
    print(f"{value.layer} {value.node}: {value.value:.4g}, {side} all of {trace.profile_rows} rows")

# %% [markdown]
# ## The rows that it gets wrong
#
# Of most of them it is not sure. But not of all: a network can be certain and wrong.

# %%
wrong = np.array(prediction.labels) != test_labels
probabilities = np.array([row.probability for row in prediction.classifications])
print("probability of the class that it chose, where it is wrong:", probabilities[wrong].round(2).tolist())
print("and where it is right, the median:", np.median(probabilities[~wrong]).round(3))

# %% [markdown]
# Next: [why did it say no?](why_no.ipynb)

# %%
client.close()
server.terminate()
