package rule

import (
	"slices"
	"strings"
)

// Event is something that happened and starts the clocks of duties.
type Event string

// Occurrence is a row of the table of events: its name, what it is, and the names that others give it.
type Occurrence struct {
	Event   Event
	English string
	Chinese string
	Also    []string
}

// occurrences is the one table of events. A case of a kind that is named like an event starts its clocks when opened.
var occurrences = []Occurrence{
	{"opt_out", "the borrower refused messages or calls", "借款人拒收信息或来电", []string{"optout", "opt_out_request", "stop_request", "stop"}},
	{"consent_revoked", "a consent was withdrawn", "撤回同意", []string{"revocation", "consent_revocation", "consent_withdrawn", "consent_withdrawal"}},
	{"consent_ended", "a consent came to its end", "同意终止", nil},
	{"objection", "the borrower objected to data or to its use", "借款人提出异议", []string{"credit_objection", "credit_report_objection", "credit_dispute", "credit_bureau_objection"}},
	{"access_request", "the borrower asked for their data", "借款人要求查阅个人信息", []string{"dsar", "subject_access_request", "data_request"}},
	{"correction", "the borrower asked to have data corrected", "借款人要求更正信息", []string{"rectification", "correction_request"}},
	{"erasure", "the borrower asked to have data deleted", "借款人要求删除信息", []string{"erasure_request", "deletion_request"}},
	{"portability", "the borrower asked for data to take elsewhere", "借款人要求转移信息", []string{"portability_request"}},
	{"complaint", "a complaint came in", "收到投诉", []string{"complaint_received"}},
	{"dispute", "the borrower disputed the debt in writing", "借款人书面对债务提出异议", []string{"written_dispute", "dispute_received"}},
	{"documentation_request", "the borrower asked for papers about the debt", "借款人索取债务凭证", []string{"debt_documentation_request", "verification_request"}},
	{"contact_record", "a record of a contact or of collection was made", "形成联系或催收记录", []string{"collection_record", "record"}},
	{"call_recording", "a call was recorded", "通话已录音", []string{"recording", "recorded_call"}},
	{"last_collection_activity", "the debt was collected on for the last time", "最后一次催收", []string{"last_activity", "collection_ended"}},
	{"first_communication", "the first communication about the debt went out", "首次就债务联系", []string{"initial_communication", "first_contact"}},
	{"validation_notice", "the borrower received the validation notice", "借款人收到债务确认通知", []string{"validation_information", "validation_received"}},
	{"credit_notice", "the borrower was told before a debt is reported", "报送征信前已告知", []string{"adverse_credit_notice", "debt_notice", "debt_notice_sent"}},
	{"adverse_report", "negative data was given to a credit bureau", "已向征信机构报送不良信息", []string{"negative_information", "negative_report", "furnishing"}},
	{"adverse_record", "what adverse data tells of has ended", "不良行为或事件终止", []string{"adverse_data", "adverse_event_end", "adverse_record_end", "adverse_data_end", "negative_record"}},
	{"crb_notice", "notice of a listing at a credit reference bureau was given", "已通知将列入征信", []string{"crb_listing_notice", "listing_notice"}},
	{"breathing_space", "a breathing space began", "债务喘息期开始", []string{"moratorium", "breathing_space_start", "breathing_space_standard"}},
	{"mental_health_crisis", "treatment of a mental health crisis ended", "精神健康危机治疗结束", []string{"crisis_treatment_end", "treatment_end", "mental_health_crisis_end"}},
	{"debt_adviser", "a debt adviser began to prepare a plan", "债务顾问开始制定方案", []string{"debt_adviser_engaged", "debt_counsellor"}},
	{"suspension", "the borrower asked for a pause: disaster, illness, death in the family", "借款人因灾害、疾病、丧亲申请暂停", []string{"collection_suspension", "suspension_request", "hospitalisation", "hospitalization", "disaster", "bereavement"}},
	{"plan_agreed", "a payment plan was agreed", "达成还款方案", []string{"payment_plan", "payment_plan_agreed", "repayment_plan"}},
	{"place_restriction", "the borrower asked not to be called at a place, such as work", "借款人要求不致电某处，如单位", []string{"work_call_request", "place_request"}},
	{"number_check", "a number was last checked or confirmed", "号码最近一次核验", []string{"number_verified", "reassigned_number_check"}},
	{"impact_assessment", "an impact assessment was made", "完成个人信息保护影响评估", []string{"pia", "pipia", "dpia", "assessment"}},
	{"agency_evaluation", "a collection agency was evaluated", "完成对催收机构的评估", []string{"vendor_evaluation"}},
}

// Occurrences returns the table of events. The caller must not change it.
func Occurrences() []Occurrence { return occurrences }

// FindEvent returns the event of a name, or of one of the other names it goes by; "" if there is none.
func FindEvent(name string) Event {
	name = strings.NewReplacer("-", "_", " ", "_").Replace(strings.ToLower(strings.TrimSpace(name)))
	for _, o := range occurrences {
		if string(o.Event) == name || slices.Contains(o.Also, name) {
			return o.Event
		}
	}
	return ""
}

// Input is a row of the table of what a duty's conditions may look at, besides the event.
type Input struct {
	Name    string
	English string
	Chinese string
	Truth   bool     // true or false, and false where nobody says; else a word, and not known where nobody says
	Words   []string // the words that packs use
}

// inputs is the one table of inputs.
var inputs = []Input{
	{"complex", "the matter is complex, or the answer needs more time", "情况复杂，需延长答复", true, nil},
	{"oral", "it was said, not written", "口头提出", true, nil},
	{"lender", "what sort of lender it is", "机构类型", false, []string{"bank", "card_issuer", "consumer_finance", "micro_lender", kindAgency}},
	{"role", "whose debt is collected: one's own, or somebody else's", "自营或受托催收", false, []string{"first_party", "third_party"}},
}

// Inputs returns the table of inputs. The caller must not change it.
func Inputs() []Input { return inputs }

// kindAgency is the sort of lender that collects for others.
const kindAgency = "agency"

// KnownLender reports whether packs know the sort of lender.
func KnownLender(kind string) bool { return slices.Contains(findInput("lender").Words, kind) }

// LenderKinds lists the sorts of lenders.
func LenderKinds() []string { return slices.Clone(findInput("lender").Words) }

// RoleOf returns whose debt a sort of lender collects: an agency somebody else's, all others their own.
func RoleOf(kind string) string {
	if kind == kindAgency {
		return "third_party"
	}
	return "first_party"
}

// KnownInput reports whether a condition can ask for the input, and know the value.
func KnownInput(name, value string) bool {
	in := findInput(name)
	switch {
	case in == nil:
		return false
	case in.Truth:
		return value == "true" || value == "false"
	}
	return slices.Contains(in.Words, value)
}

func findInput(name string) *Input {
	for i := range inputs {
		if inputs[i].Name == name {
			return &inputs[i]
		}
	}
	return nil
}
