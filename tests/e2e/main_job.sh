# The main job with nothing but the installed command and Python; run by test_wheel.py in an empty folder.
set -euo pipefail
python - <<'PYTHON'
import sysconfig
from pathlib import Path

import core
from keys.private.signing import Signer

assert core.__file__ == f"{sysconfig.get_path('purelib')}/core/__init__.py", "not the installed package"
signer, key = Signer.generate(), Path("id")
key.touch(0o600)
key.write_bytes(signer.private_file())
Path("id.pub").write_text(signer.public_key.line)
PYTHON
gla envelope keygen -o age.key
gla data generate inkomstenverhoudingen --rows 12000 --seed 1 --out ikv.parquet
gla source add ikv ikv.parquet
gla recipient add acme --kvk 68750110 --key "$(grep -o 'age1pq1.*' age.key)" --ssh id.pub
gla envelope decrypt -i age.key .gla/challenges/acme-*.age | gla keys prove acme -
gla agreement new GLA-1 --source ikv --recipient acme --period-column datum_aanvang_tijdvak \
  --column bsn --column sv_loon --column datum_aanvang_tijdvak
gla agreement offer GLA-1.odcs.yaml
gla agreement sign .gla/agreements/GLA-1.json --key id
gla agreement accept GLA-1 --signature .gla/agreements/GLA-1.json.sig
gla agreement activate GLA-1
gla agreement verify GLA-1
gla agreement show GLA-1
gla deliver GLA-1 2026-03
gla deliver GLA-1 2026-03-01--2026-03-31 | grep 'was delivered before'
gla open .gla/dropzone/deliveries/acme/GLA-1/2026-03/edition-1 -i age.key \
  --agreement .gla/agreements/GLA-1.json -o opened
gla history --html history.html
gla history --json | grep '"state": "published"'
gla ledger verify
