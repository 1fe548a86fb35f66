"""Builders for the tests of chaos/, one file for each idea.

schedules, storms                    faults and operations: by hand, and drawn from a seed
runs                                 whole runs in virtual time, and their results
virtual_network, virtual_cluster     a part of the world `sim` without the rest, moved by hand
workload                             clients of such a cluster, and their history
stepped                              one node, step by step
scripted_world                       a world for kinds of faults, which does as it is asked at once
executions, reproductions            a run as steps, and a failure made small
campaigns                            settings with which a seed takes tens of milliseconds
waiting, processes, commands         real processes: waiting for a state, and `raft-chaos` as one of them
"""
