"""The stand-in model server: a model behind the vendors' own protocols that a candidate talks to while it is proven.

A gate must not depend on a vendor, cost money, or hold a production key, and must still see that an agent reaches a
model, runs a tool for it, and carries the conversation on. So the model here is a script: `script` says what it
answers, `tools` which of the offered tools it calls; `openai_chat`, `openai_responses`, `anthropic` and `gemini` each
translate one protocol; `server` listens.
"""
