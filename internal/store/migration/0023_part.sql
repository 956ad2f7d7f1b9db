-- Where a carrier took a message in parts, each part has a receipt of its own, with the carrier's reference of it and detail 'part':
-- it was written when the answer was, and leads later receipts of the part to the attempt.

CREATE INDEX receipt_part ON receipt (provider_id) WHERE detail = 'part';
