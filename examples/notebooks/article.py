# %% [markdown]
# # From weighted sums to two hidden layers
#
# A bank predicts how many transactions a customer makes in a year from two numbers: the customer's children and accounts.
# This notebook computes the prediction by hand, then with a server, and looks at every node on the way.
#
# ## A server
#
# Any server does. This one keeps its networks in memory, and ends with the notebook.

# %%
import subprocess
import sys

import numpy as np
from forwardpass import Client, spec

command = [sys.executable, "-m", "forwardpass_server", "serve", "--listen", "127.0.0.1:0", "--database", "sqlite://"]
server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
address = server.stdout.readline().split()[-1]
client = Client(address)

# %% [markdown]
# ## A node is a weighted sum
#
# A customer has two children and three accounts. A node multiplies each input by a weight and adds the products.

# %%
children, accounts = 2, 3
node_0 = 1 * children + 1 * accounts
node_1 = -1 * children + 1 * accounts
output = 2 * node_0 - 1 * node_1
node_0, node_1, output

# %% [markdown]
# That is a whole network: two inputs, two hidden nodes, one output. Here it is as a spec. The example is part of it: the server computes
# the example before it accepts the network.

# %%
linear = spec.from_nodes(
    {"node_0": [1, 1], "node_1": [-1, 1], "output": [2, -1]},
    activation="identity",
    inputs=["children", "accounts"],
    examples=[{"inputs": {"children": 2, "accounts": 3}, "outputs": [9]}],
)
client.register("linear", linear)
client.predict("linear", {"children": 2, "accounts": 3}).outputs

# %% [markdown]
# `trace` returns the same prediction with every node.

# %%
trace = client.trace("linear", {"children": 2, "accounts": 3}, contributions=True)
trace

# %% [markdown]
# ## Why sums are not enough
#
# A weighted sum of weighted sums is one weighted sum. However many layers it has, one more account always counts the same:

# %%
grid = [[children, accounts] for children in range(4) for accounts in range(4)]
outputs = client.predict("linear", grid).outputs.reshape(4, 4)
print(outputs)
print("one more account:", np.unique(np.diff(outputs, axis=1)))

# %% [markdown]
# An activation changes that. `relu` keeps a positive sum and replaces a negative one by 0. Now one more account counts differently
# for customers with many children: the inputs interact.

# %%
relu = spec.from_nodes(
    {"node_0": [1, 1], "node_1": [-1, 1], "output": [2, -1]}, activation="relu", inputs=["children", "accounts"]
)
client.register("relu", relu)
outputs = client.predict("relu", grid).outputs.reshape(4, 4)
print(outputs)
print("one more account:", np.unique(np.diff(outputs, axis=1)))

# %% [markdown]
# ## Two hidden layers
#
# The second layer reads the nodes of the first. By hand, for three children and five accounts:

# %%
x = np.array([3, 5])
first = np.maximum(0, np.array([[2, 4], [4, -5]]) @ x)
second = np.maximum(0, np.array([[-1, 2], [1, 2]]) @ first)
output = np.array([2, 7]) @ second
print(first, second, output)

# %% [markdown]
# The server has this network from the start, as `article-2-hidden`. A node that relu sets to 0 is silent for this customer.

# %%
deep = client.trace("article-2-hidden", [3, 5], contributions=True)
deep

# %%
for layer in deep.layers:
    for node, name in enumerate(layer.nodes):
        products = " + ".join(
            f"{contribution:g} ({source})"
            for source, contribution in zip(layer.inputs, layer.contributions[0, node], strict=True)
        )
        sum_, value = layer.pre_activation[0, node], layer.activation[0, node]
        print(f"{name}: {products} = {sum_:g}, {layer.function} -> {value:g}")

# %% [markdown]
# Next: [from scikit-learn to served](scikit_learn.ipynb), with a network that was trained.

# %%
client.close()
server.terminate()
