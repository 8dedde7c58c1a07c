-- One row per line of a report that staging refused, with the reason and the line as it stood.
{{ config(schema='quarantine') }}

{{ quarantined_rows('reports', 'figures', ref('base_reports__figures'), 'figure_id') }}
