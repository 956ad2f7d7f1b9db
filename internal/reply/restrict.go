package reply

// A restriction narrows contact without refusing it: whom, where and when not. Its words are taken out of the text.

var thirdRules = []rule{
	say("tells_no_one", `\b(?:{no}|{stopv}) (?:{ger} |{reach} |talk to |talking to |speak to |speak with |tell |telling |inform |informing |involve |involving |discuss (?:this |it |anything |my \w+ )*with |disclose (?:this |it |anything |my \w+ )*to |mention (?:this |it |anything |my \w+ )*to |share (?:this |it |anything |my \w+ )*with |let |drag |ask |asking |go through |approach |visit |threaten |threatening |reach out to |leave (?:a )?(?:messages?|voicemails?) (?:with|for) |call(?:ing)? up )(?:to |at |on |with |about (?:this|it) to |anything to |out to |it to |this to |these to |up )?(?:my|our|his|her|the|any of my|any|other) (?:\w+ )?{kin}\b(?: (?:and|or|nor) (?:my )?(?:{kin}))?{rest}`),
	say("tells_no_one", `\b(?:{no}|{stopv}) (?:tell|telling|inform|informing|call|calling|contact|contacting|involve|talk to|text|texting) (?:anyone|anybody|other people|others|third part(?:y|ies)|everyone) ?(?:else|about|i know|in my|but me|other than me|close)?{rest}`),
	say("leave_them_out", `\b{kin}\b[^.!?;\n]*\b(?:do not|never) (?:tell|call|contact|text|involve) (?:them|her|him)\b|\b(?:leave|keep) (?:my|our) {kin} (?:out of|alone|away)\b{rest}|\b(?:my|our) {kin} (?:do|does|should|must|can) not (?:know|need to know|find out|have to know|have anything to do)\b|\b(?:my|our) {kin} (?:has|have|is|are) (?:nothing to do|not (?:responsible|involved|part))|\b(?:no|not) (?:calls?|contact|contacting|calling|messages|texts) (?:to|with) (?:my|our) {kin}\b`),
	say("tells_no_one_zh", `{ban}(?:再|去|来|老|总|随便|要)*{gap}(?:联系|联络|打给|打扰|骚扰|告诉|告知|通知|找|跟|和|给|向|让|牵扯|牵连|连累|爆|烦|打电话给|透露给|泄露给|说给|问|威胁|催|发给|打到|打|把)(?:我|本人|我的|到|了)*(?:的)?{kinzh}{rest}`),
	say("lets_no_one_know_zh", `(?:别|不要|不想|不希望|不能|不愿|不可以)(?:再)?(?:让|被|给)(?:我|我的)?(?:的)?{kinzh}(?:知道|晓得|发现|接到|看到|听到|担心){rest}|{kinzh}(?:们)?(?:都)?(?:还)?(?:不知道|不知情|无关|没关系)`),
	say("nothing_to_do_zh", `(?:与|和|跟)(?:我)?(?:的)?{kinzh}(?:们)?(?:无关|没关系|没有关系|没有任何关系){rest}`),
	say("tells_no_one_zh", `{kinzh}(?:那边|那里|的电话|电话)?(?:就)?(?:别|不要|请勿|不准)(?:再)?(?:打|联系|找|骚扰|告诉|打扰|通知){rest}`),
}

// withThird names others beside the borrower: a refusal means both, and nothing is taken out.
var withThird = compile(`\bme (?:and|or|nor|and also) my {kin}\b|\bmy {kin} (?:and|or|nor) me\b|{kinzh}(?:和|跟|与|及|还有|或)我(?:打|发|$|[,.!?;\n]|的)|(?:我|本人)(?:和|跟|与|及|以及|还有|或)(?:我)?(?:的)?{kinzh}`)

var homeRules = []rule{
	say("not_at_home", `\b(?:{no}|{stopv}) (?:{ger}|{reach}|show up|come|coming|showing up|visit|visiting|mail|mailing|post|deliver|send (?:anyone|anybody|somebody|people|someone|agents?|a collector|collectors|mail|letters))(?: me| us| here| anything| by| over| to| back)*(?: at| on| to)? (?:my |our |the )?(?:home|house|door|residence|apartment|landline|home phone|home number|address|parents house)\b{rest}`).asks("home"),
	say("not_at_home_zh", `{ban}(?:再|老|总|去|来|随便|往){0,2}{gap}(?:{homezh}|上门){rest}|(?:家里(?:的)?(?:电话|座机|固话)|家里座机)(?:请|就|都)?(?:别|不要|不能|不准|勿|请勿)(?:再)?{gap4}(?:打|联系|用){rest}`).asks("home"),
}

var placeRules = []rule{
	say("not_at_work", `\b(?:{no}|{stopv}) (?:{ger}|{reach}|show up|come|coming|showing up|visit|visiting|leave (?:a )?messages?)(?: me| us| here| anything| to| back| again)*(?: while| when| during)?(?: i am)?(?: at| on| to| in)? (?:my |our |this |the )?{workplace}(?:place)?(?: phone| number| line| email| address)?\b{rest}`).asks("work"),
	say("not_at_work", `\b(?:can|should|must|may|are|is|am) not (?:be )?(?:call|called|calling|contact|contacted|contacting|phone|allowed|permitted|take|answer|pick up|get|receive|accept|supposed|reach|have)\b[^.!?;,\n]{0,25}\b(?:at|on|to) (?:my |our |the )?{workplace}\b{rest}|\bno (?:\w+ )?(?:calls?|contact|texts|messages|emails) (?:at|to) (?:my )?(?:{workplace})\b{rest}|\b(?:employer|boss|company|workplace|job|work) (?:does not|do not|will not) (?:allow|permit|let|like)\b[^.!?;\n]*|\b(?:employer|company|workplace) (?:prohibits|forbids|bans)\b[^.!?;\n]*|\bnot (?:at|on) (?:my )?(?:{workplace})(?: phone| number| line)?\b|\b(?:if you|when you|you keep) (?:call|contact|text|phone|email)\w*(?: me)? (?:at|on) (?:my )?{workplace}\b{rest}|\b(?:calling|call|calls|contacting|texting)(?: \w+){0,3} {workplace}\b[^.!?;\n]{0,20}\b(?:fired|in trouble|lose my job)\b`).asks("work"),
	say("not_at_work", `\b(?:this|that|it) is (?:a |my |our )?(?:work|office|business|company) (?:number|phone|line|cell)\b[^.!?;\n]*\b{no} (?:{reach}|use)\b{rest}|\b{no} use (?:this |my )?(?:work|office|business) (?:number|phone|line|email)\b{rest}`).asks("work"),
	say("not_at_work_zh", `{ban}(?:再|老|总|随便){0,2}{gap}(?:打|联系|找|发|寄|来|去|到|往|给|让|通知|告诉|骚扰|闹|在)(?:电话|信|函|人|到|给|来|去)*(?:我|我们|本人)?(?:的)?{workzh}{rest}|不想(?:让|被)(?:我|我的|我们)?{workzh}(?:的人)?(?:知道|晓得|发现|接到){rest}`).asks("work"),
	say("not_at_work_zh", `{workzh}(?:里)?(?:的)?(?:电话|座机|号码|同事)?(?:请|就|都|是)?(?:别|不要|不能|不准|勿|请勿|不让|不允许|不可以|不方便)(?:再)?{gap4}(?:打|接|联系|找|发|来|用|寄){rest}`).asks("work"),
}

var closedRules = []rule{
	say("not_then", `\b{no} {reach}(?: (?:me|us|here|back|again|this number|anyone|my (?:cell|phone)|the house))*(?: (?:so|this|that|too|very|any))? (?:(?:before|after|past|until|at|between|earlier than|later than) {clock}|(?:before|after|until|past|earlier than|later than|between) (?:[0-9]|{weekday}|tomorrow|next|payday|i (?:get|am|finish)|the (?:weekend|holidays?))|at night|at nights|overnight|in the (?:mornings?|evenings?|afternoons?|middle)|during|on (?:the )?(?:{weekday}s?|weekends?|weekdays|holidays?)|today|tonight|this (?:week|morning|afternoon|evening)|(?:early|late)|while|when i|right now|now|at the moment|at (?:this|that) (?:hour|time)|weekends|nights|[0-9]{1,2} ?(?:am|pm))\b{rest}`),
	say("not_then", `\b{stopv} (?:{ger}|{reach})(?: (?:me|us|here|back|my (?:cell|phone)|the house))*(?: (?:so|this|that|too))? (?:(?:before|after|past|until|at|between) (?:{clock}|[0-9])|at night|overnight|in the (?:mornings?|evenings?|afternoons?|middle)|during|on (?:{weekday}s?|weekends?|weekdays|holidays?)|(?:early|late)\b|while i|when i)\b{rest}|\bno (?:calls?|texts|contact|messages) (?:(?:before|after|past|until|between) (?:{clock}|[0-9])|at night|on (?:{weekday}s?|weekends?)|during|in the (?:morning|evening|afternoon)s?|while|when)\b{rest}|\b(?:not|nothing) (?:before|after|until|between|earlier than|later than) {clock}\b{rest}`),
	say("not_then_zh", `(?:{timezh}|{nowzh})[^,.!?;\n再]{0,8}(?:别|不要|不用|勿|请勿|不准|不能|不便|不方便|不可以|没空|没时间|不在|接不了|不接|不可)(?:再)?{gap}(?:打|发|联系|骚扰|打扰|吵|接|电话|来电|找|催|提醒|$|[,.!?;\n]){rest}`),
	say("not_then_zh", `(?:{neg})(?:再|老|总|老是|总是|在|于|选在|挑|天天|经常){0,2}(?:我)?(?:在)?(?:{timezh})[^,.!?;\n]{0,8}(?:打|发|联系|骚扰|打扰|吵|电话|来电|找|催|提醒){rest}`),
	say("not_then_zh", `(?:上班|工作)(?:不方便|不能|没法|不让)(?:接|看|回|打){rest}`),
}

// restrict finds the restrictions and takes them out.
func restrict(text string) (string, []finding) {
	var out []finding
	take := func(intent Intent, rules []rule) {
		for i := range rules {
			at := rules[i].pattern.find(text)
			if at == nil {
				continue
			}
			f := finding{intent: intent, rule: rules[i].name}
			if rules[i].scope != "" {
				f.scope = []string{rules[i].scope}
			}
			if intent == Hour {
				f.hours = closedHours(text[at[0]:at[1]])
			}
			text = rules[i].pattern.replace(text, blank)
			out = append(out, f)
		}
	}
	take(Place, homeRules)
	if !withThird.in(text) {
		take(ThirdParty, thirdRules)
	}
	take(Place, placeRules)
	take(Hour, closedRules)
	return text, out
}
