"""The interactive page: one self-contained file that draws a report, a plan, a comparison or a verification.

    plans.py       a plan -> the same; imported by whoever has one, since it brings the planner along
    sides.py       results -> what the page shows, as JSON-ready values
    redact.py      those values without a name of the model's
    assemble.py    those values, the style and the script -> one HTML file
    model.js       the values as columns, and what is asked of them
    draw.js        canvases: the curve, lifetimes, the address map
    app.js         what is chosen, the other panels, mouse and keys

Nothing is loaded from anywhere: the policy in the page allows the one script and the one style inside it, by their
hashes. Names from a model are data of a JSON block and reach the page as text alone.
"""

from memprof.render.page.assemble import PageNote, write_page
from memprof.render.page.redact import redact_page
from memprof.render.page.sides import Page, comparison_page, report_page, verification_page

__all__ = ["Page", "PageNote", "comparison_page", "redact_page", "report_page", "verification_page", "write_page"]
