package reply

import "strings"

// rewrites put ways of speaking that would mislead the rules into plain ones.
var rewrites = []struct {
	from *pattern
	to   string
}{
	{compile(`\b(?:if|unless|until|when) (?:you|they|you guys|you people) (?:do not|will not|can not|keep|still) stop\b`), "stop"},
	{compile(`\b(?:why|how come|when) (?:do not|will not|can not|do|will|are) (?:you|they|you guys|you people)(?: not| going to)? stop\b`), "stop"},
	{compile(`(?:从|自)?(?:今天|现在|今|即日)(?:起|开始|以后|往后)|今后|往后|(?:^|[,.!?;\n你请])以后`), " 此后 "},
	{compile(`(?:你们|他们|贵|催收|外包|第三方|贷款|小贷|金融|这)(?:家|个)?公司`), "你们"},
	{compile(`剩下`), "剩余"},
	{compile(`\bwith/`), "with"},
	{compile(`[, ]+((?:行|可以|成|中|能|ok)(?:吗|不|么|嘛|不行|吧\?))`), "$1"},
	{compile(`\b(?:can|could|will|would|do) not you stop\b`), "stop"},
	{compile(`\bhow (?:do|can|could|would|should|to) (?:i |we )?(?:unsubscribe|opt out|get (?:off|out of) (?:this|your|the) (?:\w+ )?list)\b`), "unsubscribe"},
	{compile(`\bhow (?:do|can|could|would|should|to) (?:i |we )?(?:stop|turn off|cancel|end|get rid of) (?:getting |receiving )?((?:the |these |your |all |those |my )*{thing})\b`), "stop $1"},
	{compile(`不是(?:已经?|都|早就?|昨天|刚刚?)?(?:就)?(?:还|付|交|缴)(?:过|清|完)?(?:款)?(?:了|过)(?:吗|么|嘛)`), "已经还了"},
}

// rephrase applies the rewrites.
func rephrase(text string) string {
	for i := range rewrites {
		text = rewrites[i].from.replace(text, rewrites[i].to)
	}
	return text
}

// notRefusing is what only sounds like a refusal.
var notRefusing = []*pattern{
	// Reminders that are wanted.
	compile(`{ban}(?:要)?(?:再)?(?:忘|停|漏|断|错过|取消|退订|退定|中断|误会|挂|屏蔽|拉黑|删){rest}`),
	compile(`(?:不会|没有?|没说要?|没想|不是要?|并非|不想要?|不打算|并不|不需要|不必|没让你们?|谁说要?|没申请)(?:要)?(?:取消)?(?:退订|退定|拒收|屏蔽|拉黑|取消)(?:短信|提醒|通知)?`),
	compile(`(?:^|[^能以])不(?:要|想|会|打算|用|需要|必|再)?(?:退订|退定|拒收)`),
	compile(`(?:退订|拒收)的不是|{ban}(?:打官司|打架|打折|打扰到|发火|发脾气|发愁|发律师函|发工资|打工|打算)`),
	compile(`(?:取消|撤销)(?:退订|拒收)|(?:恢复|重新)(?:订阅|发送|接收|提醒)`),
	compile(`(?:退订|退定|取消)(?:了)?(?:机票|车票|火车票|高铁|酒店|房间|课程|会员|套餐|外卖|订单|预约|航班|门票|金|这单|旅行|旅游|健身|保险|自动扣款|代扣)`),
	compile(`(?:机票|车票|火车票|高铁票|酒店|房间|课程|会员|套餐|外卖|订单|预约|航班|门票|保险)(?:的)?(?:退订|退定|取消)`),
	compile(`(?:不用|不必)(?:再)?(?:给我)?回(?:我)?(?:电话|电|复|短信|信)(?:了)?`),
	compile(`(?:不要|别|不用)(?:担心|着急|急|怕|慌|误会|担忧|紧张|生气|介意|客气|多想)|不用谢|不要紧|不要脸|不要钱|不想(?:欠|逾期|拖|影响|失信|上征信)|别急|别担心|不用担心|不要误会|不好意思|不要求|别人|特别|分别|级别|性别|不用(?:再)?等`),
	compile(`(?:没|没有|未|收不到|怎么没|为什么没|为啥没|怎么不|为什么不|为啥不|怎么还不|还没|从来没){gap4}(?:收到|接到|给我发|发短信|打电话|联系我|提醒|通知)`),
	compile(`(?:电话|手机)(?:停机|坏了|丢了|没电|欠费|打不通|没接到|没听到|静音)`),
	compile(`{ban}{gap}(?:泄露|泄漏|透露|公开|曝光|出卖|倒卖|上报|上征信|报征信|起诉|收费|扣款|扣钱|影响){rest}`),
	compile(`停(?:车|电|水|工|产|薪|业|职|机|牌|诊)`),
	// Stops that stop nothing of ours.
	compile(`\b(?:do|did|does|would|should|could|will|can) not (?:(?:want|mean|ask|asked|tell|told|say|said|wish|intend|need|have|plan|like|try|know|you|me|us|them|to|how|the|that|i|let|make) )*(?:stop|stopping|opt out|opting out|unsubscribe|unsubscribing|cancel|quit|opt me out|unsubscribe me)\b{rest}`),
	compile(`\b(?:never|not) (?:(?:want(?:ed)?|mean(?:t)?|ask(?:ed)?|told|tell|say|said|wish|trying|going|planning|you|me|to|i) )*(?:stop|opt out|opting out|opted out|unsubscribe|unsubscribing|stopping|quitting|canceling|cancelling)\b{rest}`),
	compile(`\bunable to (?:make |come )?stop\b{rest}|\bcan not (?:make a |get to |come )?stop\b{rest}`),
	compile(`\bstop(?:ping|ped|s)? (?:by|in(?: at| to|$)|over|off|at|into|and (?:get|pick|see|pay|talk|visit))\b{rest}`),
	compile(`\b(?:bus|full|pit|last|next|first|truck|non|one|rest|train|subway|metro|tram|short|door|back)[ -]stop\b|\bnonstop\b|\bnon-stop\b|\bstop(?:ped|s) (?:working|paying|my|paid|raining)\b`),
	compile(`\bstop(?:ping)? (?:the |my |this |a |that |all )*(?:payments?|auto ?pay|auto ?debit|direct debit|charges?|charging|paying|working|interest|fees?|late fees?|loan|check|cheque|transaction|transfer|withdrawals?|withdrawing|taking|reporting|smoking|drinking|lying|credit reporting|bleeding|adding|deducting|debiting|garnish\w*|foreclosure|repo\w*|eviction)\b`),
	compile(`\b(?:quit|end|cancel|revoke)(?:s|ed|ing)? (?:my |the |this |of |a )*(?:job|month|week|year|day|card|auto ?pay|auto ?debit|direct debit|order|appointment|subscription to|payment|loan|lease|contract|application|shift|insurance|flight|trip|account|smoking)\b`),
	compile(`\b(?:i|we|they|he|she|it|who) (?:do|does|can|could|did|will|would) not {reach}\b|\byou (?:never|do not|did not) (?:call|text|contact|email|message|send|phone|remind)\b(?: me)?(?: back)?|\bi never (?:{reach}|said|asked|told|wanted|meant)\b`),
	compile(`\bi (?:do|did|have) not (?:receive|get|got|gotten|received|see|had|have)\b{rest}|\b(?:got|get|received|there (?:is|was|were)|had|have|with|see|saw) no {thing}`),
	compile(`\b(?:do not|not|never) want to (?:miss|lose|ignore|avoid|keep you){rest}|\bdo not forget{rest}|\bdo not hesitate{rest}|\bdo not (?:worry|mind){rest}`),
	compile(`\b(?:why|when|how come)(?: \w+)? (?:did|have|has|had) (?:you|it|they|the \w+)(?: all)? (?:stop|stopped)\b{rest}`),
	compile(`\b(?:start|unstop|resubscribe|resume)\b`),
}

// aboutRefusing takes the questions about refusing out of a text; it returns the name of the rule that saw one.
func aboutRefusing(text string) (string, string) {
	asked := ""
	for _, q := range refusingQuestions {
		if q.in(text) {
			asked = "asks_about_refusing"
			text = q.replace(text, blank)
		}
	}
	if saidBefore.in(text) {
		text = saidBefore.replace(text, " unsubscribe ")
	}
	return asked, carrierLine.ReplaceAllString(text, blank)
}

// plain takes out what only sounds like a refusal.
func plain(text string) string {
	for _, p := range notRefusing {
		text = p.replace(text, blank)
	}
	return text
}

var (
	refusingQuestions = []*pattern{
		compile(`(?:是不是|是否|是回复?|可不可以|如果|假如|要是|万一|应该|需要|需不需要|要不要)[^,.!?;\n]{0,8}(?:回复?|发送?)?[" ]*(?:td?|r|n|退订|退定|拒收|stop|unsubscribe)\b?"?[^.!?;\n]*`),
		compile(`(?:要|需要|用|必须|得|应该)(?:退订|退定)(?:吗|么|\?)|(?:为什么|为啥|干嘛|凭什么)(?:要|会|得)(?:我)?(?:退订|退定)[^.!;\n]*`),
		compile(`(?:退订|退定|拒收|取消订阅|取消提醒)(?:了|后|以后|之后|的话|短信|提醒)*[,]?(?:会不会|会|还会|还能|还可以|能不能|能|是不是|有没有|有什么|影响|算不算|怎么收费|收费|要钱|要不要|是什么|什么意思|干嘛|需要|就不用还|就可以不还)[^.!?;\n]*`),
		compile(`(?:回复?|发送?)?"?\b(?:td|stop)\b"?(?:了|后|以后|之后)?(?:是什么|什么意思|是啥|啥意思|干嘛|有什么用|会怎么样|会怎样|会不会|是不是)[^.!?;\n]*`),
		compile(`\b(?:do|should|would|must|can|may|will|does|did|am) (?:i|we|it|this|that|replying|texting|sending|someone)(?: have| need| get| supposed)?(?: to)?(?: \w+){0,3} "?(?:stop|opt out|unsubscribe|opting out|unsubscribing|"?stop"?)\b(?:"|\b)[^.!?;\n]*\?`),
		compile(`\b(?:what (?:happens|does|if|would happen|will happen|is)|is (?:it|this)|if i|when i)(?: \w+){0,5} "?(?:stop|opt out|opting out|unsubscribe|unsubscribing)\b[^.!;\n]*\?`),
		compile(`\b(?:will|would) (?:you|it|they|the \w+) stop\b[^.!;\n]*\bif (?:i|we)\b[^.!;\n]*\?`),
		compile(`\b(?:does|will|would|is) "?(?:stop|opting out|unsubscribing|opt out)"?(?: \w+){1,9}\?`),
	}
	saidBefore = compile(`(?:我|已经?|早就?|都|刚|刚刚|明明|昨天|上次)[^,.!?;\n]{0,4}(?:回复?|发|按要求回复?)(?:了|过)?"?(?:td|t|r|n|退订|stop)\b?(?:退订)?(?:了|过)?|` +
		`\b(?:i|have|already|we) (?:have )?(?:already )?(?:replied|sent|texted|said|typed|told you|responded|asked you to|wrote)(?: with| you| to)? "?stop\b"?(?: to (?:opt out|unsubscribe|end|cancel))?`)
)

// refusals are the ways to refuse contact, the plainest first. A scope of "" is read from the words: see scopeOf.
var refusals = []rule{
	say("refuses_all", `\b(?:{stopv}|end) (?:any |all |the |this |these |your |and all |of |further |future |from )*(?:contact|contacting|communications?|communicating|correspondence|harassing|harassment|bothering|bugging|pestering|disturbing|annoying|hounding|stalking|bombarding|hassling|chasing|nagging|reaching out)\b`).asks(scopeAll),
	say("refuses_all", `\bcease and desist\b|\b{no}(?: you)?(?: dare)?(?: try to| attempt to)? (?:contact|bother|harass|disturb|hassle|pester|bug|reach out to) (?:me|us|this)\b|\b(?:do not|never) (?:contact|bother|disturb)\b`).asks(scopeAll),
	say("refuses_all", `\b(?:do not|no longer|never) (?:want|wish|consent|agree|like|care)\b[^.!?;,\n]{0,20}\b(?:contact|contacted|bothered|harassed|hear from you|communication|communications|any more from you|anything from you)\b|\bno (?:more|further) (?:contact|communication)`).asks(scopeAll),
	say("leave_me_alone", `\bleave (?:me|us) (?:the (?:hell|fuck|heck) )?alone\b|\blose (?:my|this) number\b|\bgo away\b|\bget lost\b|\b(?:fuck|piss|buzz|back|f) off\b|\blet me be\b|\bknock it off\b|\bcut it out\b|\bgive it a rest\b|\blay off\b`).asks(scopeAll),
	say("off_the_list", `\b(?:remove|take|delete|drop|scrub|erase|get) (?:me|us|this number|my (?:number|phone|cell|info\w*|name|email|contact|details|data))(?: \w+)? (?:off|from|out)\b|\b(?:remove|delete|erase) (?:me|this number|my (?:number|phone|cell|info\w*|name|email|contact|details|data))\b|\bdo not call list\b|\boff (?:of )?(?:this|your|the) (?:\w+ )?list\b|\bnumber\b[^.!\n]{0,12}[.?!,;] ?(?:remove|delete|erase) it\b`).asks(scopeAll),
	say("withdraws_consent", `\b(?:revok|withdraw|rescind)\w* (?:my |any |all |prior |of )*(?:consent|permission|authori[sz]ation)|\b(?:you )?(?:do not|no longer) have (?:my )?(?:consent|permission) to|\b(?:never|not) (?:gave|give|given|grant\w*)(?: \w+){0,2} (?:permission|consent|authori[sz]ation)`).asks(scopeAll),
	say("refuses_all_zh", `{neg}(?:再|老|总|继续|天天|一直|整天|来|主动|随便|对我|跟我|和我|向我|给我|被|与我|任何形式的?|任何方式|任何|一切|你们|以|通过|用|的){0,4}(?:联系|联络|骚扰|打扰|打搅|烦|找|轰炸|纠缠|催收)(?:我|了|$|[,.!?;\n]|和我|本人|到我|这个|此)`).asks(scopeAll),
	say("leave_me_alone_zh", `(?:别|不要|少)(?:再|老|总|来|总是|老是)*(?:烦|吵)(?:我|人|到)?|(?:勿|免打)扰|让我(?:清静|清净|安静)|还我清静|放过我|离我远|到此为止|(?:^|[,.!;\n])滚(?:蛋|开|远点|吧)?(?:$|[,.!;\n])|不想再?(?:看到|听到|见到)你们|拉黑|别再来`).asks(scopeAll),
	say("off_the_list_zh", `(?:把|将)?(?:我|本人|这个号码?|此号码?)(?:的)?(?:号码?|手机号码?|电话号?码?|信息|联系方式|资料|名字)?(?:从)?{gap}(?:删除|删掉|删了|移除|移出|剔除|去掉|清除|踢出)|(?:删除|删掉|移除|清除|注销)(?:掉)?(?:我|本人)(?:的)?(?:个人)?(?:号码?|手机号?|电话|信息|联系方式|资料)`).asks(scopeAll),
	say("withdraws_consent_zh", `(?:撤回|撤销|收回|取消)(?:我的?|对你们的?|之前的?)?(?:联系)?(?:同意|授权|许可)|(?:不同意|没同意|没有?授权)(?:你们)?(?:再)?(?:联系|发|打)`).asks(scopeAll),
	say("unsubscribe", `\bunsubscribe\b|\bopt(?:ing|ed)?[ -]?out\b|\bopt (?:me|us) out\b|退订|退定|拒收|取消订阅|取消关注|屏蔽`),
	say("stop_contact", `\b{stopv} (?:(?:all|the|these|those|your|you|with|any|it|sending|getting|giving|me|my|of|this|this|such|so|many|annoying|stupid|constant|daily|automated|and|up|phone|cell|from|further|future) )*(?:{ger}|{thing})\b`),
	say("no_more", `\bno more (?:of )?(?:[a-z]+ )?{thing}\b|\benough (?:with|of) (?:the|these|your|all|all the) {thing}|(?:^|[,.!?;\n"] ?|\band |\bbut |\bor )no (?:[a-z]+ )?(?:calls|phone ?calls|texts|text messages|emails|messages|robocalls|letters|sms)\b`),
	say("do_not", `(?:^|[^a-z ] ?|\b(?:and|so|but|or|you|said|asked|hey|hi|hello|ok|me|then|now|also|sir|maam|because|again|it|this|day|thanks|number|to|off|stop|alone|phone|line|that|here|guys|people|i) ){not}(?: you)?(?: dare)?(?: try to| attempt to| want you to| wish you to)? {reach}\b`),
	say("not_allowed", `\b(?:not|no longer|never) (?:be )?(?:allowed|permitted|authori[sz]ed|welcome|supposed) to (?:{reach}|{ger})\b`),
	say("unwelcome", `\b(?:{thing}|texting|calling|emailing) (?:are |is |am )?not (?:ok|okay|welcome|wanted|allowed|acceptable|appreciated)\b|\b(?:did|have) not (?:ask|sign(?:ed)? up|subscribe|opt in|request) (?:for|to) (?:the |these |this |any |your |all )*{thing}|\b(?:chill|ease up|let up) (?:with|on) (?:the |these |your |all )*{thing}`),
	say("does_not_want", `\b(?:do not|no longer|never|not) (?:want|wish|consent|agree|need|care|would like|interested in|ok with|authorize)\b[^.!?;,\n]{0,25}\b(?:{thing}|called|texted|messaged|emailed|phoned|call|text|message|calling|texting|messaging|emailing|reminding|reminded|phone)\b`),
	say("rather_than", `\b(?:instead of|rather than|not by) (?:{ger}|{thing}|phone|by phone)\b`).reads(ratherThan),
	say("block_you", `\b(?:i|am|will|have) (?:am |going to |be |have )?block(?:ing|ed)? (?:you|this|your)\b`).asks(scopeAll),
	say("turn_off", `\b(?:turn|switch|shut) off (?:the |these |all |your |my )*{thing}|\b(?:cancel|end|discontinue|disable|deactivate) (?:the |these |all |your |my |any |this |text |sms )*{thing}\b|\bget off (?:this|your|the) (?:\w+ )?list|\bhow (?:do|can|to|would) (?:i |we )?(?:get (?:off|out of|rid of)|stop)\b`),
	say("asked_to_stop", `\b(?:want|wants|need|needs|like|tell|told|asked|ask|get|make|has|have|must|ought|got|asking|telling|begging)(?: \w+){0,4} to stop ?(?:$|[.!?,;\n]|now|immediately|this|it|right|all|already)`),
	say("stop_at_end", `(?:^|[^a-z]|\b(?:said|says|say|you|to|now|and|it|me|must|will|would|can|could|should|ok|hey|no|yes) )stop(?: it| this| that| them| these| those| now| already| immediately| right now| all this| the madness| at once| here){0,3} ?(?:$|[.!?,;\n])`),
	say("stop_at_start", `(?:^|[.!?;\n] ?)stop (?:i|you|it|this|these|now|already|wrong|who|never|no|do|me|all|ok|bro|man|lol|guys|and|for|because|thanks|we|my wife|as|or|what|why|that|there|everything|bothering|dude|sir|immediately|right)\b`),
	say("unwanted_zh", `{neg}(?:再|老|总|天天|一直|随便|没事|乱){0,2}{gap}{callzh}`),
	say("unwanted_zh", `{neg}(?:再|老|总|天天|一直|随便|没事|乱){0,2}{gap}{textzh}`),
	say("unwanted_zh", `{neg}(?:再|老|总|天天|一直|随便|没事|乱){0,2}{gap}(?:收到|接到|接收|接听|接)(?:你们?|任何|这些?|此类|这种|这类|的)*(?:$|[,.!?;\n了]|{callzh}|{textzh}|骚扰|催收|来自)`),
	say("unwanted_zh", `(?:电话|短信|信息|消息|邮件|微信|通知|提醒|推送)(?:什么的|这些|都|就|请|也|以后|之类的?|,)*(?:别|不要|不用|停止|勿|请勿|不必)(?:再)?(?:打|发|推|给我|来|了|推送)`),
	say("enough_zh", `(?:此后)[^,.!?;\n]{0,4}{neg}{gap}(?:打|发|联系|找|催|提醒)`),
	say("turn_off_zh", `(?:关闭|关掉|关了|取消|停掉|停了|停止|终止|暂停|撤掉|去掉){gap}(?:短信|提醒|通知|推送|消息|电话|邮件|催收|外呼)|(?:短信|提醒|通知|推送|消息|电话|邮件)(?:服务|功能)?(?:帮我|给我|请|麻烦|能不能|可不可以|能|可以|可否)*(?:关闭|关掉|关了|取消|停掉|停了)|(?:怎么|如何|怎样)(?:才能)?(?:不再?收|取消|关闭|退出|停止|不收到)`),
	say("enough_zh", `消停(?:点|会|一下|些|$|[,.!?;\n])|适可而止|够了没`),
	say("stop_urging_zh", `(?:别|不要|不用|甭|少|无需|不必|不需要|不想|请勿)(?:再|老|总|天天|一直|老是|总是|你们|被|来|这样|这么)*(?:给我|跟我|对我)?(?:发)?{urgezh}`).reads(soft),
	say("only_by", onlyByPattern).reads(onlyNamed),
	say("sounds_like_refusing", `\b(?:stop|stopping|quit|cease|halt|no (?:more|further)|enough|done with|sick of getting|tired of getting)\b[^.!?;\n]{0,40}\b(?:text|texts|texting|calls?|calling|messag\w*|contact\w*|emails?|emailing|reminders?|robo)\b`).reads(guess),
	say("sounds_like_refusing_zh", `(?:别|不要|停止|禁止|甭|勿|拒绝|不准|不许)[^,.!?;\n]{0,12}(?:打(?:$|[^款钱工算开])|发(?:$|[^工薪票火现生])|联系|短信|电话|信息|消息|催|骚扰|通知)`).reads(guess),
	say("no_need", `\bno need (?:to|for) (?:{reach}|{ger}|{thing}|any|more|the)`).reads(soft),
}

func (r rule) reads(as reading) rule { r.reading = as; return r }

const onlyByPattern = `\bonly (?:contact|reach|communicate|talk|respond|reply|write)[^.!?;,\n]{0,20}\b(?:by|via|through|in|on|using) (?:email|text|sms|mail|writing|letter|phone|whatsapp|wechat)\b|` +
	`\b(?:contact|reach|communicate|communication|correspond\w*|contacted)[^.!?;,\n]{0,25} (?:by|via|through|in|on) (?:an? )?(?:email|text|sms|mail|writing|letter|phone|whatsapp|wechat)s?(?: messages?)? only\b|` +
	`(?:^|[.!?;,\n] ?)(?:email|text|sms|whatsapp|mail|letter)s?(?: messages?| me)? only\b|\bonly (?:text|email|sms|whatsapp)(?: me)?\b|\bin writing only\b|\bonly in writing\b|` +
	`只(?:能|用|通过|发|要|接受|许|准|可以|需要?|收|看|回|希望)(?:通过|用|以|发|给我发|收)?(?:短信|邮件|微信|电话|书面|信件)(?:联系|沟通|通知|提醒|就|即可|的方式|方式|$|[,.!;\n]|就好|就行|可以)`

// mediaKeys are the words by which a channel is named.
var mediaKeys = []struct {
	key   string
	words *pattern
}{
	{"sms", compile(`\b(?:text|texts|texted|texting|sms|smses|smsing)\b|短信`)},
	{"calls", compile(`\b(?:call|calls|called|calling|phone|phoned|phoning|phonecalls?|ring|ringing|dial|dialing|dialling|robocalls?|robocalling|voicemails?)\b|打电话|电话|来电|致电|拨打|拨号|呼叫|外呼|呼我|语音|打给|打来|打过来|打我|打了|打啦|再打|(?m:打$)|call`)},
	{"email", compile(`\b(?:email|emails|emailed|emailing)\b|邮件`)},
	{"im", compile(`\b(?:whatsapp|whatsapping|wechat|dm|dming)\b|微信|加我|line`)},
	{"push", compile(`\bpush\b|推送`)},
	{"letter", compile(`\bletters?\b|信函|信件`)},
}

// refuse looks for a refusal in what is left of a text.
func refuse(rest string, m Message) (finding, bool) {
	wanted := withoutWanted(rest)
	for i := range refusals {
		r := &refusals[i]
		text := wanted
		if r.reading == onlyNamed || r.reading == ratherThan {
			text = rest
		}
		at := r.pattern.find(text)
		if at == nil {
			continue
		}
		f := finding{intent: OptOut, rule: r.name, soft: r.reading == soft}
		f.unsure = r.reading == soft || r.reading == guess || r.reading == onlyNamed
		f.scope = r.refused(text, at, m)
		if everything.in(wanted) {
			f.scope = []string{scopeAll}
		}
		return f, true
	}
	return finding{}, false
}

// refused returns the channels that a rule met at a place of a text refuses.
func (r *rule) refused(text string, at []int, m Message) []string {
	switch {
	case r.reading == onlyNamed:
		return others(text[at[0]:at[1]])
	case r.reading == ratherThan:
		return channelsIn(text[at[0]:at[1]], m)
	case r.scope == scopeAll && !byMedia.in(text[at[0]:]):
		return []string{scopeAll}
	}
	return scopeOf(text, m)
}

var (
	// wantedMedia names the channel that somebody asks for instead: text me, 发短信就行.
	wantedMedia = compile(`(?:^|[,.!?;\n] ?|\b(?:and|but|instead|rather|prefer|can|so|use) )(?:only )?(?:text|email|sms|message|whatsapp|call|write|mail)(?: me| us)?(?: instead| only| ok| is (?:fine|ok|better|best)| works| please| if| when| for)?(?: ?$| ?[.!?,;\n]| instead| only| is (?:fine|ok|better|best)| works)|` +
		`\b(?:text|email|sms|message|whatsapp|call|write to) me\b(?: instead)?|\b(?:text|email|sms|texts|emails|texting|emailing|messages|letters|whatsapp)(?: is| are| would be| me)? (?:fine|ok|better|best|instead|works|work|preferred|only)\b|\binstead of\b|\buse (?:email|text|sms|whatsapp)\b|\bby (?:text|email|sms|mail|whatsapp)\b(?: instead| only)?|` +
		`(?:有事|有什么事|请|可以|改|改成|改用|用|直接|就|只|还是|最好)?(?:给我)?(?:发|用|走|通过|以|加|打)(?:个)?(?:短信|微信|邮件|信息|消息|电话)(?:联系|沟通|通知|提醒|告知)?(?:我)?(?:就行|就好|就可以|即可|可以|行了|就够了|好了|吧|更好|为好|最好|就成|都行|没问题|也行|也可以)|` +
		`(?:短信|微信|邮件|信息|消息|电话)(?:联系|沟通|通知|提醒|告知)?(?:我)?(?:就行|就好|就可以|即可|行了|就够了|更好|为好|最好|就成|都行|没问题|可以)|(?:有事|请|改|改成|改用|直接|只)(?:给我)?(?:发|用|通过)(?:短信|微信|邮件|信息|消息)`)
	unwanted   = compile(`(?:\b(?:not|never|or|nor|no|not to|stop|dare|you to|from|not try to|want to|permission to|consent to|allowed to|right to) ?|{neg}(?:再|来|老)*)$`)
	byMedia    = compile(`^[^,.!?;\n]*\b(?:by|via|through|on|over|using) (?:my |the |a |this )?(?:phone|cell|cellphone|text|sms|email|whatsapp|calls?|mail|telephone)\b|^{neg}(?:再)?(?:通过|用|以|打)(?:电话|短信|微信|邮件)`)
	everything = compile(`\b(?:all|any|every) (?:form|kind|type|way|mean|method|channel|contact|communication)|\bopt out of (?:all|everything)\b|\bunsubscribe (?:me )?(?:from )?(?:all|everything)\b|\bstop all\b ?(?:$|[.!?;\n])|(?:所有|一切|全部|任何)(?:的)?(?:短信和电话|电话和短信|联系|渠道|方式|形式|通知|消息|订阅)|全部退订|退订全部|退订所有|退订一切|都退订`)
)

// withoutWanted takes out the channels that somebody asks for instead, unless a word before them refuses them: or text me.
func withoutWanted(text string) string {
	var b strings.Builder
	last := 0
	for _, at := range wantedMedia.re.FindAllStringIndex(text, -1) {
		if unwanted.in(text[:at[0]]) {
			continue
		}
		b.WriteString(text[last:at[0]])
		b.WriteString(blank)
		last = at[1]
	}
	b.WriteString(text[last:])
	return b.String()
}

// scopeOf reads which channels a refusal names, in the clauses that refuse.
func scopeOf(text string, m Message) []string {
	var clauses []string
	for _, clause := range clauseEnd.Split(text, -1) {
		if refusingWords.in(clause) {
			clauses = append(clauses, clause)
		}
	}
	return channelsIn(strings.Join(clauses, "\n"), m)
}

// channelsIn returns the channels that words name, or that which the message came by.
func channelsIn(words string, m Message) []string {
	var keys []string
	words = myPhone.replace(words, blank)
	for i := range mediaKeys {
		if mediaKeys[i].words.in(words) {
			keys = append(keys, mediaKeys[i].key)
		}
	}
	if len(keys) == 0 {
		return []string{channelKey(m.Channel)}
	}
	return keys
}

// myPhone is where contact arrives, not how.
var myPhone = compile(`\b(?:to|on|from) (?:this|my|our|the) (?:cell ?|mobile ?)?phone(?: number)?\b`)

var refusingWords = compile(`{neg}|此后|退订|退定|拒收|屏蔽|关闭|关掉|取消|\b(?:{stopv}|no|not|never|unsubscribe|opt(?:ing|ed)?[ -]?out|end|cancel|turn off|enough|or|nor|and)\b`)

// others returns the channels that are not named where somebody allows only what is named.
func others(words string) []string {
	var out []string
	for _, k := range mediaKeys[:4] {
		if !k.words.in(words) {
			out = append(out, k.key)
		}
	}
	if strings.Contains(words, "writing") || strings.Contains(words, "书面") {
		return []string{"calls"}
	}
	return out
}
