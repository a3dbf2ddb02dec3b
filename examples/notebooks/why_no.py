# %% [markdown]
# # Why did it say no?
#
# A bank's network declines an applicant, who may ask why. This notebook says it in the applicant's own units: which numbers counted against
# her, by how much, and what would have to change. The applicants are invented; the network is trained on 4,000 of them.

# %%
import json
import subprocess
import sys

import numpy as np
import pandas as pd
from forwardpass import Client, spec
from forwardpass.importers import import_model
from forwardpass.render import draw_attributions, draw_trace
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

command = [sys.executable, "-m", "forwardpass_server", "serve", "--listen", "127.0.0.1:0", "--database", "sqlite://"]
server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
address = server.stdout.readline().split()[-1]
client = Client(address)

# %% [markdown]
# ## The network

# %%
random = np.random.default_rng(0)
count = 4_000
applicants = pd.DataFrame(
    {
        "age": random.uniform(20, 70, count).round(),
        "income": random.lognormal(7.9, 0.4, count).round(-1),
        "debt": random.exponential(9_000, count).round(-2),
        "years employed": random.exponential(6, count).round(1),
        "missed payments": random.poisson(0.6, count),
    }
)
score = (
    applicants["income"] / 900
    - applicants["debt"] / 6_000
    - 0.8 * applicants["missed payments"]
    + 0.15 * applicants["years employed"]
    + random.normal(0, 0.4, count)
)
decisions = np.where(score > 1.5, "approved", "declined")
model = make_pipeline(StandardScaler(), MLPClassifier((6, 3), random_state=0, max_iter=1_000)).fit(
    applicants, decisions
)
print(f"it agrees with {model.score(applicants, decisions):.0%} of the decisions")

# %% [markdown]
# The features get their units, which pictures and the page show.

# %%
document = json.loads(spec.to_json(import_model(model).spec))
units = {"age": "years", "income": "EUR a month", "debt": "EUR", "years employed": "years"}
for feature in document["inputs"]:
    feature["unit"] = units.get(feature["name"], "")
client.register("loans", document)
client.profile("loans", applicants)
client.version("loans").class_labels

# %% [markdown]
# ## The applicant

# %%
applicant = {"age": 34, "income": 2_600, "debt": 9_000, "years employed": 3, "missed payments": 2}
prediction = client.predict("loans", applicant, top_k=2)
{each.label: round(each.probability, 3) for each in prediction.classifications[0].top}

# %% [markdown]
# Is she unlike everybody that the network has seen? Then its decision would mean little.

# %%
trace = client.trace("loans", applicant, contributions=True, percentiles=True)
print("unusual values:", trace.unusual() or "none")
for name, percentile in zip(trace.input_names, trace.input_percentiles[0], strict=True):
    print(f"{name:16} {applicant[name]:>8,} is above {percentile:.0f} % of the applicants")

# %% [markdown]
# Her way through the network, in her units:

# %%
network = client.spec("loans")
draw_trace(trace, network=network)

# %% [markdown]
# ## The reasons
#
# `explain` divides the difference between two probabilities among the inputs: hers, and that of somebody to compare her with. Here that is the
# average of all applicants who were approved. By integrated gradients the shares add up to the difference.

# %%
approved = applicants[decisions == "approved"].mean().to_dict()
explanation = client.explain("loans", applicant, baseline=approved)
draw_attributions(explanation, network=network)

# %%
(probability,), (usual,) = explanation.explained_values, explanation.baseline_outputs
label = explanation.explained_classes[0][0]
print(f"probability of {label}: {probability:.1%}; of the average approved applicant: {usual:.1%}")
shares = dict(zip(explanation.input_names, explanation.attributions[0], strict=True))
for name, share in sorted(shares.items(), key=lambda pair: -abs(pair[1])):
    print(f"{name:16} {applicant[name]:>8,} instead of {approved[name]:>8,.1f}: {100 * share:+6.1f} percentage points")
print(f"{'together':46} {100 * sum(shares.values()):+6.1f}")

# %% [markdown]
# ## What would change the decision
#
# The reasons say which numbers to look at; predictions say how far they would have to move. Each is changed alone here.

# %%
changes = {
    "debt": np.arange(9_000, -1, -100),
    "income": np.arange(2_600, 6_001, 50),
    "years employed": np.arange(3, 10.5, 0.5),
    "missed payments": np.array([2, 1, 0]),
}
for name, values in changes.items():
    rows = pd.DataFrame([applicant] * len(values)).assign(**{name: values})
    yes = np.array(client.predict("loans", rows).labels) == "approved"
    print(f"{name}: approved from {values[yes.argmax()]:,} on" if yes.any() else f"{name}: not by this alone")

# %% [markdown]
# A reason is not a recommendation: the network knows what applicants have in common, not what causes what. But the bank can now say what
# counted, and the applicant can say what is wrong.

# %%
client.close()
server.terminate()
