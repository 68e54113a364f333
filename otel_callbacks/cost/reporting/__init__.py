"""Costs of finished spans: reports by tenant or model, costs at other prices, comparison with invoices.

May import what `cost` may, and the rest of `cost`. Nothing that runs while the application is traced imports it. Open
`reports.py` first; `span_cost.py` says where the cost of each call comes from.
"""
