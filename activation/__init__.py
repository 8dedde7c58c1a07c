"""From the desired messages (`activation.act_*` in the published file) to the world.

`desired` reads what should be sent, `plan` compares it with the `ledger`, `deliver` sends the difference through the
`destinations`. Which action is right for whom is decided in SQL; nothing here knows a business rule.
"""
