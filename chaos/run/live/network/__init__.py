"""The network between real processes: `rules` (what is in force on each link), `frame_proxy` (the process that all
frames go through), `frame_link` (what becomes of a frame).
"""
