"""The network between real processes: `rules` (the rule of each link), `frame_proxy` (the process that all frames
go through), `frame_link` (what happens to a frame).
"""
