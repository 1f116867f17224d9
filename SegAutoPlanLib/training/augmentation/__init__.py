"""Random changes of patches: drawn by numbers alone (numpy), applied to arrays (torch, on any device).

Ranges are what a preset says, a change is one draw from them, and applying it draws nothing that its record does not
fix. So the same record can be applied in a loader process or on a graphics card.
"""
