"""Whether a plug-in keeps the contract: `./run contract framework=NAME` and `./run contract study=NAME`."""
